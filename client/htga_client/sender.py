"""The way out of the training thread: a bounded queue and one worker thread."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
import os
import sys
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from htga_client import wire
from htga_client.backoff import Backoff
from htga_client.delivery import DeadBatch, Delivery
from htga_client.names import uuid7
from htga_client.notices import logger, say
from htga_client.rows import Row
from htga_client.stats import Stats
from htga_client.transport import Transport

Item = Row | Callable[[], Row | Sequence[Row]]
"""A row, or what makes one or several; it is called on the worker thread."""

EXIT_GRACE = 5.0
_DEAD_BATCHES = 16


class _Closed(Exception):
    """The sender was closed while its worker waited."""


class Sender:
    """Delivers the rows of one run in order, each of them once, and never holds up `put`.

    The worker registers the run, then delivers one batch at a time. After `os.fork` the child
    begins with an empty queue, as a writer of its own. At the exit of the interpreter the sender
    finishes by itself, within `EXIT_GRACE` seconds.

    Args:
        transport: The way to the collector; the sender closes it.
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
        self._delivery = Delivery(
            self._transport,
            dataclasses.replace(self._new_run, writer=str(uuid7())),
            backoff=self._backoff,
            patience=self._patience,
            pause=self._pause,
        )
        # Guards all that follows. Reentrant, for a signal handler or the garbage collector may
        # log in the midst of a `put`.
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[Item] = deque()
        self._in_flight = 0  # rows
        self._wake_at = 0  # length of the queue that the worker waits for
        self._accepted = self._settled = self._flush_to = 0  # items since the beginning
        self._logged = self._acked = 0
        self._dropped: Counter[str] = Counter()
        self._ending: Literal["finished", "failed"] | None = None
        self._nudged = self._closed = self._done = self._told = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the worker, which registers the run at once; otherwise the first `put` does."""
        with self._changed:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="htga-sender", daemon=True)
                # No thread can start while the interpreter shuts down.
                with contextlib.suppress(RuntimeError):
                    self._thread.start()

    def put(self, item: Item) -> bool:
        """Hand over a row, or a callable that makes it, at once; False if it was dropped."""
        with self._changed:
            self._logged += 1
            if len(self._queue) < self._capacity and not self._ending:
                self._queue.append(item)
                self._accepted += 1
                if self._thread is None:
                    self.start()
                if len(self._queue) == self._wake_at:
                    self._changed.notify_all()
                return True
            cause = "closed" if self._ending else "queue_full"
            self._dropped[cause] += 1
            first = self._dropped[cause] == 1
        if first and cause == "queue_full":
            say(f"{self._capacity} rows wait, new ones are dropped", level=logging.WARNING)
        return False

    def flush(self, timeout: float) -> bool:
        """Wait until every row put so far is settled; True if the collector has them all.

        Args:
            timeout: Seconds to wait at most.
        """
        with self._changed:
            self._flush_to = self._accepted
            self._nudge()
            settled = self._changed.wait_for(lambda: self._settled >= self._flush_to, timeout)
            return settled and not self._dropped.total()

    def finish(
        self, state: Literal["finished", "failed"] = "finished", *, timeout: float = EXIT_GRACE
    ) -> bool:
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
        with self._changed:
            self._ending = self._ending or state
            self._nudge()
            self._changed.wait_for(lambda: self._done or self._closed, timeout)
            return self._told and not self._dropped.total()

    def close(self) -> None:
        """Stop now; rows that wait are dropped and counted."""
        with self._changed:
            self._closed = True
            self._ending = self._ending or "failed"
            self._dropped["closed"] += len(self._queue) + self._in_flight
            self._queue.clear()
            self._in_flight = 0
            self._settled = self._accepted
            self._changed.notify_all()
        atexit.unregister(self._at_exit)

    @property
    def stats(self) -> Stats:
        """The books as of now."""
        with self._changed:
            return Stats(
                logged=self._logged,
                acked=self._acked,
                queued=len(self._queue) + self._in_flight,
                dropped=dict(+self._dropped),
                retries=self._delivery.retries,
                reached=self._delivery.reached,
            )

    def _nudge(self) -> None:
        self._nudged = True
        self._changed.notify_all()

    def _after_fork(self) -> None:
        ending = self._ending
        self._begin()
        self._ending = ending

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

    # From here on: the worker thread.

    def _work(self) -> None:
        told = False
        with contextlib.suppress(_Closed):
            self._delivery.register()
            while items := self._take():
                rows = self._resolve(items)
                self._settle(rows, self._delivery.deliver(rows), items=len(items))
            end = wire.Finish(state=self._ending or "finished", logged=self._logged)
            told = self._delivery.finish(end)
        self._transport.close()
        with self._changed:
            self._done, self._told = True, told
            self._changed.notify_all()

    def _take(self) -> list[Item]:
        """The items of the next batch; none when the run has ended and all is delivered."""
        with self._changed:
            self._await(1, timeout=None)
            self._await(self._batch_rows, timeout=self._linger)
            if self._closed:
                raise _Closed
            self._in_flight = min(len(self._queue), self._batch_rows)
            return [self._queue.popleft() for _ in range(self._in_flight)]

    def _await(self, length: int, *, timeout: float | None) -> None:
        """Wait until that many items are there, or someone waits for those that are."""
        self._wake_at = length
        self._changed.wait_for(
            lambda: (
                len(self._queue) >= length
                or self._settled < self._flush_to
                or self._ending is not None
            ),
            timeout,
        )
        self._wake_at = 0

    def _resolve(self, items: Sequence[Item]) -> list[Row]:
        rows: list[Row] = []
        failed = 0
        for item in items:
            try:
                made = item() if callable(item) else item
                rows.extend([made] if isinstance(made, Mapping) else list(made))
            except Exception:  # noqa: BLE001  one broken row must not end the worker
                failed += 1
                if failed == 1 and not self._dropped["callable"]:
                    logger.exception("a row could not be made and is dropped")
        with self._changed:
            if self._closed:
                raise _Closed
            self._logged += len(rows) + failed - len(items)
            self._dropped["callable"] += failed
            self._in_flight = len(rows)
        return rows

    def _settle(self, rows: Sequence[Row], dead: Sequence[DeadBatch], *, items: int) -> None:
        with self._changed:
            if self._closed:
                raise _Closed
            self.dead.extend(dead)
            for batch in dead:
                self._dropped[batch.cause] += len(batch.rows)
            self._acked += len(rows) - sum(len(batch.rows) for batch in dead)
            self._in_flight = 0
            self._settled += items
            self._changed.notify_all()

    def _pause(self, seconds: float) -> bool:
        """Wait before another try; True if a caller of `flush` or `finish` waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._nudged or self._closed, seconds)
            if self._closed:
                raise _Closed
            nudged, self._nudged = self._nudged, False
            return nudged
