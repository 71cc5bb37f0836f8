"""The way of rows out of the training thread."""

from __future__ import annotations

import atexit
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from htga_client import wire
from htga_client.console import say
from htga_client.http.backoff import Backoff
from htga_client.http.transport import Transport
from htga_client.run_ids import uuid7
from htga_client.sender.counters import Books
from htga_client.sender.dead_letters import DeadBatch
from htga_client.sender.delivery import BATCH_ROWS
from htga_client.sender.process_hooks import (
    at_end_of_child,
    died_of,
    end_as_interrupted,
    in_children,
)
from htga_client.sender.queue import Intake, Item
from htga_client.sender.spool_writer import Writer
from htga_client.sender.state import Lifecycle, State
from htga_client.sender.threads import Crew
from htga_client.sender.uploader import Courier
from htga_client.spool.lease import Claim
from htga_client.spool.spool import Spool
from htga_client.stats import Stats
from htga_client.wire.row_encoder import record_batch

EXIT_GRACE = 5.0
HEARTBEAT = 30.0


class Sender:
    """Delivers the rows of one run in order, each of them once, and never holds up `put`.

    Three threads share the work. One makes batches of what was put and appends them to the spool;
    one delivers what the spool holds, and deletes it once the collector has it; one has the disk
    sync the spool each second. Without a collector, what is in the spool stays there.

    After `os.fork` the child begins with an empty spool, as a writer of its own; its end is not
    the run's. At the exit of the interpreter the sender finishes by itself, within `EXIT_GRACE`
    seconds.

    Args:
        transport: The way to the collector; None to spool only.
        run: The run to register; its `writer` is set by the sender.
        folder: The spool; None to keep rows in memory.
        make_spool: Given what makes the folder, makes the spool; for other limits than usual.
        capacity: Items that may wait to be written; what comes beyond is dropped and counted.
        linger, heartbeat: As in `Courier`.
        batch_rows: Rows in a request at most.
        backoff: Delays between tries.
        patience: Seconds between tries where only a person can help, as with a wrong token.
        tells_end: Whether the end of this process is the run's; not so of its further ranks.
    """

    def __init__(
        self,
        transport: Transport | None,
        run: wire.NewRun,
        *,
        folder: Path | None = None,
        make_spool: Callable[[Callable[[], Claim] | None], Spool] = Spool,
        capacity: int = 50_000,
        linger: float | None = None,
        heartbeat: float = HEARTBEAT,
        batch_rows: int = BATCH_ROWS,
        backoff: Backoff | None = None,
        patience: float = 300.0,
        tells_end: bool = True,
    ) -> None:
        self._transport = transport
        self._run = run
        self._folder = folder
        self._make_spool = make_spool
        self._capacity = capacity
        self._linger = linger
        self._heartbeat = heartbeat
        self._batch_rows = batch_rows
        self._backoff = backoff or Backoff()
        self._patience = patience
        self._tells_end = tells_end
        self._is_child = False
        # Arrow imports pandas, where there is one, with its first array: see `Connection`.
        record_batch([{"step": 0}])
        self._begin()
        atexit.register(self._at_exit)
        in_children(self._after_fork)

    def _begin(self) -> None:
        run = dataclasses.replace(self._run, writer=str(uuid7()))
        root, transport = self._folder, self._transport
        url = transport.url if transport else ""
        self._lifecycle = Lifecycle()
        self._intake = Intake(self._capacity)
        self._spool = self._make_spool((lambda: Claim.create(root, run, url)) if root else None)
        self._writer = Writer(self._intake, self._spool, self._lifecycle)
        self._courier: Courier | None = None
        if transport is not None:
            self._courier = Courier(
                transport,
                run,
                self._spool,
                self._lifecycle,
                folder=root,
                backoff=self._backoff,
                patience=self._patience,
                batch_rows=self._batch_rows,
                linger=self._linger,
                heartbeat=self._heartbeat,
            )
        self._books = Books(self._intake, self._writer, self._spool, self._courier)
        self._told_full = self._told_end = False
        self._starting = threading.RLock()  # a signal handler may log while it is held
        self._crew = Crew(give_up=self.close)

    def start(self) -> None:
        """Start the threads, which register the run at once; otherwise the first `put` does."""
        with self._starting:
            if self._crew.started or self._lifecycle.closed:
                return
            if self._is_child:
                at_end_of_child(self._at_exit)
            jobs = {"htga-writer": self._write, "htga-sync": self._writer.sync}
            if self._courier is not None:
                jobs["htga-sender"] = self._deliver
            self._crew.start(jobs)

    def register(self) -> None:
        """Register the run at once, on the caller's thread; the threads do so again.

        Raises:
            ClientError: The collector said no, or nothing.
        """
        if self._courier is not None:
            self._courier.register_once()

    def put(self, item: Item) -> bool:
        """Hand over a row, or a callable that makes it, at once; False if it was dropped."""
        cause = self._intake.put(item)
        if cause is None:
            if not self._crew.started:
                self.start()
            return True
        if cause == "queue_full" and not self._told_full:
            self._told_full = True
            say(f"{self._capacity} rows wait, new ones are dropped", level=logging.WARNING)
        return False

    def flush(self, timeout: float) -> bool:
        """Wait until every row put so far is settled; True if no row was ever lost.

        Settled is a row that the collector has, or without a collector, the disk.
        """
        life, deadline, seq = self._lifecycle, time.monotonic() + timeout, self._spool.end
        if self._crew.started and not life.written and not life.closed:
            mark = self._intake.mark()
            if not mark.passed.wait(timeout):
                return False
            seq = mark.end
        life.want(seq)
        with life.changed:
            seconds = max(0.0, deadline - time.monotonic())
            life.changed.wait_for(lambda: self._settled >= seq or life.over, seconds)
            return self._settled >= seq and not self._books.dropped

    def finish(self, state: State = "finished", *, timeout: float = EXIT_GRACE) -> bool:
        """End the run: deliver what waits, say how it ended, stop the threads.

        The first call decides on the state. When the time is up, or everything is on disk and a
        collector that does not answer has been tried once more, the threads go on in the
        background; another call waits again.

        Args:
            state: How the run ended.
            timeout: Seconds to wait at most.

        Returns:
            Whether the collector, or without one the disk, has all rows and the end.
        """
        if self._is_child and not self._crew.started:
            return True  # nothing was put here, and the end is the parent's
        self.start()
        life = self._lifecycle
        with life.changed:
            if life.ending is None:
                life.ending = state
                self._intake.end()
            life.nudge()
            tried = self._failures
            life.changed.wait_for(lambda: life.over or self._is_hopeless(tried), timeout)
            return self._told_end and not self._books.dropped

    def close(self) -> None:
        """Stop now; rows that wait are dropped and counted, but for those on disk."""
        life = self._lifecycle
        with life.changed:
            life.ending = life.ending or "failed"
            self._intake.close()
            was_over, life.closed = life.over, not life.left
            life.changed.notify_all()
        if not was_over:
            self._spool.close()
        atexit.unregister(self._at_exit)

    def join(self, timeout: float) -> bool:
        """Wait for the threads to leave after `finish` or `close`; True if they have."""
        return self._crew.join(timeout)

    @property
    def stats(self) -> Stats:
        """The books as of now."""
        return self._books.stats

    @property
    def dead(self) -> Sequence[DeadBatch]:
        """The latest batches that the collector refused."""
        return tuple(self._courier.delivery.dead.latest) if self._courier else ()

    @property
    def _settled(self) -> int:
        return self._courier.settled if self._courier else self._spool.end

    @property
    def _failures(self) -> int:
        return self._courier.delivery.persistence.failures if self._courier else 0

    def _is_hopeless(self, tried: int) -> bool:
        durable = self._lifecycle.written and self._spool.durable
        return durable and self._failures > max(tried, 2)

    def _after_fork(self) -> None:
        ended = self._lifecycle.ending is not None
        self._spool.abandon()
        self._is_child, self._tells_end = True, False
        self._begin()
        if ended:
            self.close()

    def _at_exit(self) -> None:
        if not self._crew.started:
            return
        error, waited = died_of(), self._lifecycle.ending is not None
        self.finish(
            "finished" if error is None else "failed", timeout=1.0 if waited else EXIT_GRACE
        )
        self.close()
        left, lost = self.stats.queued, self.stats.dropped.get("closed", 0)
        if left and self._transport is not None:
            command = f"htga sync --dir {self._folder} --url {self._transport.url}"
            say(f"{left} rows stay on disk; the next run delivers them, or: {command}")
        if lost:
            say(f"{lost} rows could not be delivered and are lost", level=logging.ERROR)
        if isinstance(error, KeyboardInterrupt):
            end_as_interrupted()

    # The threads.

    def _write(self) -> None:
        self._writer.write()
        if self._tells_end:
            self._writer.say_finish(self._how_it_ended())
        is_kept = False
        if self._courier is None:
            self._spool.sync()
            is_kept = self._spool.durable
            self._spool.close()
        with self._lifecycle.changed:
            self._lifecycle.written = True
            self._told_end = is_kept
            self._lifecycle.left = self._courier is None
            self._lifecycle.changed.notify_all()
        if self._courier is None:
            atexit.unregister(self._at_exit)

    def _deliver(self) -> None:
        if self._courier is None:
            return
        try:
            self._courier.deliver()
            told_end = not self._tells_end or self._courier.finish(self._how_it_ended())
            self._courier.join()
        finally:
            self._courier.close()
        self._lifecycle.check()
        self._spool.remove()
        with self._lifecycle.changed:
            self._told_end = told_end
            self._lifecycle.left = True
            self._lifecycle.changed.notify_all()
        atexit.unregister(self._at_exit)  # or a notebook would keep every run of its life

    def _how_it_ended(self) -> wire.Finish:
        return wire.Finish(state=self._lifecycle.ending or "finished", logged=self.stats.logged)
