"""The way of rows out of the training thread."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Mapping, Sequence

from htga_client import wire
from htga_client.backlog import Backlog, Closed, Item, State
from htga_client.backoff import Backoff
from htga_client.delivery import DeadBatch, Delivery
from htga_client.names import uuid7
from htga_client.notices import logger, say
from htga_client.rows import Row
from htga_client.stats import Stats
from htga_client.transport import Transport

EXIT_GRACE = 5.0
_DEAD_BATCHES = 16


class Sender:
    """Delivers the rows of one run in order, each of them once, and never holds up `put`.

    A worker thread registers the run, then takes batches from the backlog and delivers them one
    at a time. After `os.fork` the child begins with an empty backlog, as a writer of its own. At
    the exit of the interpreter the sender finishes by itself, within `EXIT_GRACE` seconds.

    Args:
        transport: The way to the collector; the worker closes it when it leaves.
        new_run: The run to register; its `writer` is set by the sender.
        capacity: Items that may wait; what comes beyond is dropped and counted.
        linger: Seconds to wait for a batch to fill.
        batch_rows: Items in a batch at most.
        backoff: Delays between tries.
        patience: Seconds between tries where only a person can help, as with a wrong token.

    Attributes:
        dead: The latest batches that were given up.
    """

    def __init__(
        self,
        transport: Transport,
        new_run: wire.NewRun,
        *,
        capacity: int = 50_000,
        linger: float = 0.1,
        batch_rows: int = 2000,
        backoff: Backoff | None = None,
        patience: float = 300.0,
    ) -> None:
        self._transport = transport
        self._new_run = new_run
        self._capacity = capacity
        self._linger = linger
        self._batch_rows = batch_rows
        self._backoff = backoff or Backoff()
        self._patience = patience
        self._begin()
        atexit.register(self._at_exit)
        if hasattr(os, "register_at_fork"):
            again = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (begin := again()) and begin())

    def _begin(self) -> None:
        self.dead: deque[DeadBatch] = deque(maxlen=_DEAD_BATCHES)
        self._backlog = Backlog(self._capacity)
        self._delivery = Delivery(
            self._transport,
            dataclasses.replace(self._new_run, writer=str(uuid7())),
            backoff=self._backoff,
            patience=self._patience,
            pause=self._backlog.pause,
        )
        self._told_full = self._told_end = False
        self._starting = threading.RLock()  # a signal handler may log while it is held
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the worker, which registers the run at once; otherwise the first `put` does."""
        with self._starting:
            if self._thread is None and not self._backlog.closed:
                self._thread = threading.Thread(target=self._work, name="htga-sender", daemon=True)
                # No thread can start while the interpreter shuts down.
                with contextlib.suppress(RuntimeError):
                    self._thread.start()

    def put(self, item: Item) -> bool:
        """Hand over a row, or a callable that makes it, at once; False if it was dropped."""
        cause = self._backlog.put(item)
        if cause is None:
            if self._thread is None:
                self.start()
            return True
        if cause == "queue_full" and not self._told_full:
            self._told_full = True
            say(f"{self._capacity} rows wait, new ones are dropped", level=logging.WARNING)
        return False

    def flush(self, timeout: float) -> bool:
        """Wait until every row put so far is settled; True if the collector has them all.

        Args:
            timeout: Seconds to wait at most.
        """
        return self._backlog.flush(timeout)

    def finish(self, state: State = "finished", *, timeout: float = EXIT_GRACE) -> bool:
        """End the run: deliver what waits, say how it ended, stop the worker.

        The first call decides on the state. When the time is up the worker goes on in the
        background; another call waits again.

        Args:
            state: How the run ended.
            timeout: Seconds to wait at most.

        Returns:
            Whether the collector has all rows and knows of the end.
        """
        self.start()
        return self._backlog.end(state, timeout) and self._told_end

    def close(self) -> None:
        """Stop now; rows that wait are dropped and counted."""
        self._backlog.close()
        atexit.unregister(self._at_exit)

    @property
    def stats(self) -> Stats:
        """The books as of now."""
        return self._backlog.stats(retries=self._delivery.retries, reached=self._delivery.reached)

    def _after_fork(self) -> None:
        ending = self._backlog.ending
        self._begin()
        if ending is not None:
            self._backlog.close()

    def _at_exit(self) -> None:
        if self._thread is None:
            return
        # The interpreter sets `last_value` when it prints an exception that nobody caught.
        failed = getattr(sys, "last_value", None) is not None
        self.finish("failed" if failed else "finished")
        left = self.stats.queued
        self.close()
        if left:
            say(f"{left} rows could not be delivered to {self._transport.url}", level=logging.ERROR)

    # The worker thread.

    def _work(self) -> None:
        with contextlib.suppress(Closed):
            self._delivery.register()
            while items := self._backlog.take(self._batch_rows, linger=self._linger):
                dead = self._delivery.deliver(self._resolve(items))
                self.dead.extend(dead)
                self._backlog.settle(items=len(items), dead=dead)
            end = wire.Finish(state=self._backlog.ending or "finished", logged=self.stats.logged)
            self._told_end = self._delivery.finish(end)
        self._transport.close()
        self._backlog.leave()

    def _resolve(self, items: Sequence[Item]) -> list[Row]:
        rows: list[Row] = []
        failed = 0
        for item in items:
            try:
                made = item() if callable(item) else item
                rows += [made] if isinstance(made, Mapping) else list(made)
            except Exception:  # noqa: BLE001  one broken row must not end the worker
                failed += 1
                if failed == 1 and "callable" not in self.stats.dropped:
                    logger.exception("a row could not be made and is dropped")
        self._backlog.resolve(items=len(items), rows=len(rows), failed=failed)
        return rows
