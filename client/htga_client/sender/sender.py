"""Delivery of a run's rows out of the training thread."""

from __future__ import annotations

import atexit
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from htga_client import wire
from htga_client.console import notify
from htga_client.errors import Refused
from htga_client.http.backoff import Backoff
from htga_client.http.retry import Retrier
from htga_client.http.transport import HttpTransport
from htga_client.run_ids import uuid7
from htga_client.sender.dead_letters import DeadBatch
from htga_client.sender.delivery import MAX_BATCH_ROWS, Delivery
from htga_client.sender.orphans import AUTH_RETRY_SECONDS, OrphanUploader
from htga_client.sender.process_hooks import (
    at_end_of_child,
    in_children,
    reraise_keyboard_interrupt,
    uncaught_exception,
)
from htga_client.sender.queue import Item, RowQueue
from htga_client.sender.spool_writer import SpoolWriter, Watcher
from htga_client.sender.state import FinalState, SenderState
from htga_client.sender.stats import SenderStats
from htga_client.sender.threads import WorkerThreads
from htga_client.sender.uploader import Uploader
from htga_client.spool.directory import SpoolDirectory
from htga_client.spool.spool import Spool
from htga_client.wire.clean_run import clean_run
from htga_client.wire.row_encoder import record_batch

EXIT_GRACE = 5.0
HEARTBEAT = 30.0


class Sender:
    """Delivers the rows of one run in order, each of them once. `put` never blocks.

    Three threads share the work. One makes batches of what was put and appends them to the spool;
    one uploads what the spool holds, and deletes it once the collector has it; one syncs the spool
    to the disk each second. Without a collector, what is in the spool stays there.

    After `os.fork` the child begins with an empty spool, as a writer of its own; its end is not
    the run's. At the exit of the interpreter the sender finishes by itself, within `EXIT_GRACE`
    seconds.

    Args:
        transport: Sends to the collector; None to spool only.
        run: The run to register; the sender sets its `writer`.
        folder: The spool's folder; None to keep rows in memory.
        make_spool: Makes the spool, given what makes its directory; for other limits than usual.
        capacity: Items that may wait to be written; further ones are dropped and counted.
        linger, heartbeat: As in `Uploader`.
        batch_rows: Maximum number of rows in a request.
        backoff: Delays between tries.
        auth_retry_seconds: Seconds between tries where only a person can help, as with a wrong
            token.
        owns_run: Whether the end of this process is the run's; not so of its further ranks.
        watcher: Sees the rows of this process, too.

    Attributes:
        run: The run as it is registered: `run`, cleaned by `wire.clean_run`.
    """

    def __init__(
        self,
        transport: HttpTransport | None,
        run: wire.NewRun,
        *,
        folder: Path | None = None,
        make_spool: Callable[[Callable[[], SpoolDirectory] | None], Spool] = Spool,
        capacity: int = 50_000,
        linger: float | None = None,
        heartbeat: float = HEARTBEAT,
        batch_rows: int = MAX_BATCH_ROWS,
        backoff: Backoff | None = None,
        auth_retry_seconds: float = AUTH_RETRY_SECONDS,
        owns_run: bool = True,
        watcher: Watcher | None = None,
    ) -> None:
        self._transport = transport
        self.run, changes = clean_run({f.name: getattr(run, f.name) for f in fields(run)})
        for change in changes if owns_run else ():
            notify(f"run {self.run.name}: {change}", level=logging.WARNING)
        self._folder = folder
        self._make_spool = make_spool
        self._capacity = capacity
        self._linger = linger
        self._heartbeat = heartbeat
        self._batch_rows = batch_rows
        self._backoff = backoff or Backoff()
        self._auth_retry_seconds = auth_retry_seconds
        self._owns_run = owns_run
        self._watcher = watcher
        self._is_child = False
        # Arrow imports pandas, where there is one, with its first array: see `Connection`.
        record_batch([{"step": 0}])
        self._begin()
        atexit.register(self._at_exit)
        in_children(self._after_fork)

    def _begin(self) -> None:
        run = dataclasses.replace(self.run, writer=str(uuid7()))
        root, transport = self._folder, self._transport
        url = transport.url if transport else ""
        self._state = SenderState()
        self._queue = RowQueue(self._capacity)
        self._spool = self._make_spool(
            (lambda: SpoolDirectory.create(root, run, url)) if root else None
        )
        self._writer = SpoolWriter(self._queue, self._spool, self._state, self._watcher)
        self._delivery = self._connect(transport, run) if transport else None
        self._warned_full = False
        self._starting = threading.RLock()  # a signal handler may log while it is held
        self._threads = WorkerThreads(on_failure=self.close)

    def _connect(self, transport: HttpTransport, run: wire.NewRun) -> Delivery:
        """Make what delivers to a collector."""
        patience = self._auth_retry_seconds
        retrier = Retrier(
            transport.url,
            backoff=self._backoff,
            auth_retry_seconds=patience,
            pause=self._state.pause,
        )
        delivery = Delivery(transport, run, self._spool, retrier, batch_rows=self._batch_rows)
        self._orphans = OrphanUploader(
            self._folder, transport, self._state, run_id=run.id, auth_retry_seconds=patience
        )
        self._uploader = Uploader(
            delivery,
            self._spool,
            self._state,
            self._orphans,
            batch_rows=self._batch_rows,
            linger=self._linger,
            heartbeat=self._heartbeat,
            final_state=self._final_state if self._owns_run else None,
        )
        return delivery

    def start(self) -> None:
        """Start the threads, which register the run at once; otherwise the first `put` does."""
        with self._starting:
            if self._threads.started or self._state.closed:
                return
            if self._is_child:
                at_end_of_child(self._at_exit)
            jobs = {"htga-writer": self._write, "htga-sync": self._writer.sync}
            if self._delivery is not None:
                jobs["htga-sender"] = self._upload
            self._threads.start(jobs)

    def register(self) -> wire.Run | None:
        """Register the run at once, on the caller's thread; the threads do so again.

        Returns:
            The run as the collector has it; None without one.

        Raises:
            ClientError: The collector refused, or did not answer.
        """
        return None if self._delivery is None else self._delivery.register_once()

    def put(self, item: Item) -> bool:
        """Hand over a row, or a callable that makes it, at once; False if it was dropped."""
        reason = self._queue.put(item)
        if reason is None:
            if not self._threads.started:
                self.start()
            return True
        if reason == "queue_full" and not self._warned_full:
            self._warned_full = True
            notify(f"{self._capacity} rows wait, new ones are dropped", level=logging.WARNING)
        return False

    def flush(self, timeout: float) -> bool:
        """Wait until every row put so far is stored; True if no row was ever lost.

        A row is stored when the collector has it, or without a collector, the disk.

        Args:
            timeout: Seconds to wait at most.
        """
        state, deadline, seq = self._state, time.monotonic() + timeout, self._spool.end
        if self._threads.started:
            marker = self._queue.mark()
            if not marker.passed.wait(timeout):
                return False
            seq = marker.end
        state.request_flush(seq)
        with state.changed:
            seconds = max(0.0, deadline - time.monotonic())
            state.changed.wait_for(
                lambda: self._stored_seq >= seq or state.stopped or state.refused, seconds
            )
            return self._stored_seq >= seq and not self.stats.dropped

    def finish(self, final_state: FinalState = "finished", *, timeout: float = EXIT_GRACE) -> bool:
        """End the run: deliver what waits, report how it ended, stop the threads.

        The first call decides on the final state. When the time is up, or everything is on disk
        and a collector that does not answer has been tried once more, the threads go on in the
        background; another call waits again.

        Args:
            final_state: How the run ended.
            timeout: Seconds to wait at most.

        Returns:
            Whether the collector, or without one the disk, has all rows and the end.
        """
        if self._is_child and not self._threads.started:
            return True  # nothing was put here, and the end is the parent's
        self.start()
        state = self._state
        with state.changed:
            state.outcome = state.outcome or final_state
            if not state.ending:
                state.ending = True
                self._queue.end()
            state.wake_retries()
            tried = self._failures
            state.changed.wait_for(
                lambda: state.stopped or (state.written and self._gave_up_but_durable(tried)),
                timeout,
            )
            return state.finish_acked and not self.stats.dropped

    def settle(self, final_state: FinalState = "finished", *, timeout: float = EXIT_GRACE) -> bool:
        """Deliver what waits and report how the run ended, but go on taking rows.

        The threads live on, without a sign of life to the collector, until `finish`, which reports
        no other end.

        Args:
            final_state: How the run ended; the first call of this or `finish` decides.
            timeout: Seconds to wait at most; the same is done later otherwise.

        Returns:
            Whether the collector, or without one the disk, has all rows so far and the end.
        """
        if self._is_child and not self._threads.started:
            return True  # as in `finish`
        self.start()
        state, deadline = self._state, time.monotonic() + timeout
        state.outcome = state.outcome or final_state
        marker = self._queue.mark()
        marker.passed.wait(timeout)
        if self._owns_run:
            self._writer.save_finish(self._final_state())
        with state.changed:
            state.settled = True
            state.request_flush(marker.end)
            tried = self._failures
            if self._delivery is not None:
                state.changed.wait_for(
                    lambda: state.reported or state.stopped or self._gave_up_but_durable(tried),
                    max(0.0, deadline - time.monotonic()),
                )
        is_kept = self._spool.durable if self._delivery is None else state.reported
        return is_kept and not self.stats.dropped

    def close(self) -> None:
        """Stop now; rows that wait are dropped and counted, but for those on disk."""
        state = self._state
        with state.changed:
            state.outcome, state.ending = state.outcome or "failed", True
            self._queue.close()
            was_stopped, state.closed = state.stopped, not state.done
            state.changed.notify_all()
        if not was_stopped:
            self._spool.close()
        atexit.unregister(self._at_exit)

    def join(self, timeout: float) -> bool:
        """Wait for the threads to leave after `finish` or `close`; True if they have."""
        return self._threads.join(timeout)

    @property
    def stats(self) -> SenderStats:
        """What has become of the rows so far."""
        return SenderStats.snapshot(self._queue, self._writer, self._spool, self._delivery)

    @property
    def dead(self) -> Sequence[DeadBatch]:
        """The latest batches that the collector refused."""
        return tuple(self._delivery.dead.latest) if self._delivery else ()

    @property
    def _stored_seq(self) -> int:
        return self._spool.acked_seq if self._delivery else self._spool.end

    @property
    def _failures(self) -> int:
        return self._delivery.retrier.failures if self._delivery else 0

    def _gave_up_but_durable(self, tried: int) -> bool:
        given_up = self._state.refused or self._failures > max(tried, 2)
        return self._spool.durable and given_up

    def _after_fork(self) -> None:
        ended = self._state.ending
        self._spool.abandon()
        self._is_child, self._owns_run, self._watcher = True, False, None
        self._begin()
        if ended:
            self.close()

    def _at_exit(self) -> None:
        if not self._threads.started:
            return
        error, waited = uncaught_exception(), self._state.ending
        self.finish(
            "finished" if error is None else "failed", timeout=1.0 if waited else EXIT_GRACE
        )
        self.close()
        left, lost = self.stats.queued, self.stats.dropped.get("closed", 0)
        if left and self._transport is not None:
            command = f"htga sync --dir {self._folder} --url {self._transport.url}"
            notify(f"{left} rows stay on disk; the next run delivers them, or: {command}")
        if lost:
            notify(f"{lost} rows could not be delivered and are lost", level=logging.ERROR)
        if isinstance(error, KeyboardInterrupt):
            reraise_keyboard_interrupt()

    # The jobs of the threads.

    def _write(self) -> None:
        self._writer.write()
        if self._owns_run:
            self._writer.save_finish(self._final_state())
        if self._delivery is None:
            self._spool.sync()
            is_kept = self._spool.durable
            self._spool.close()
            self._state.finish(acked=is_kept)
            atexit.unregister(self._at_exit)
        with self._state.changed:
            self._state.written = True
            self._state.changed.notify_all()

    def _upload(self) -> None:
        if self._delivery is None or self._transport is None:
            return
        try:
            self._uploader.upload()
            acked = self._uploader.report()
            self._orphans.join()
        except Refused as error:
            notify(f"{error}; this run's rows are not sent", level=logging.ERROR)
            self._state.give_up()
            return
        finally:
            self._transport.close()
        self._state.check()
        self._spool.remove()
        self._state.finish(acked=acked)
        atexit.unregister(self._at_exit)  # or a notebook would keep every run of its life

    def _final_state(self) -> wire.Finish:
        return wire.Finish(state=self._state.outcome or "finished", logged=self.stats.logged)
