"""The state that the threads and the callers of one sender share."""

from __future__ import annotations

import threading
from typing import Literal

FinalState = Literal["finished", "failed"]


class Closed(Exception):
    """The sender was closed; raised in its threads to end their loops."""


class SenderState:
    """State of one sender. All of it changes under `changed`.

    Never do I/O while holding `changed`: the training thread blocks on it.

    Attributes:
        changed: Notified when anything here changes, and when rows are spooled or acknowledged.
        outcome: How the run ended, once that is known; the first to say so decides.
        settled: Whether the outcome shall be reported although rows may still come.
        reported: Whether the collector was told the outcome.
        ending: Whether no more rows are taken.
        written: Whether every row put before the end is in the spool.
        done: Whether nothing is left to do.
        closed: Whether the sender was told to stop where it is.
        refused: Whether the collector will never take the run, so that its rows stay on disk.
        finish_acked: Whether the collector, or without one the disk, has all rows and the end.
        flush_target: Sequence number that a caller of `flush` waits for; the highest if there are
            several. It only hurries the uploader: each caller waits for its own number.
        uploader_wakes_at: Sequence number that the spool has to exceed to wake the uploader.
    """

    def __init__(self) -> None:
        # Reentrant: a signal handler or the garbage collector may interrupt its owner.
        self.changed = threading.Condition(threading.RLock())
        self.outcome: FinalState | None = None
        self.ending = self.settled = self.reported = False
        self.written = self.done = self.closed = self.finish_acked = self.refused = False
        self.flush_target = self.uploader_wakes_at = 0
        self._retry_now = False

    @property
    def stopped(self) -> bool:
        """Whether the threads have left, or are about to."""
        return self.done or self.closed

    def rows_spooled(self, end: int) -> None:
        """Wake the uploader if the rows before number `end` include what it waits for."""
        with self.changed:
            if end > self.uploader_wakes_at:
                self.changed.notify_all()

    def rows_acked(self) -> None:
        """Wake the callers of `flush`."""
        with self.changed:
            self.changed.notify_all()

    def request_flush(self, seq: int) -> None:
        """Have the rows before number `seq` delivered at once."""
        with self.changed:
            self.flush_target = max(self.flush_target, seq)
            self.wake_retries()

    @property
    def must_report(self) -> bool:
        """Whether the collector is still to be told the outcome, before the end."""
        return self.settled and not self.reported

    def report_sent(self) -> None:
        """Note that the collector was told the outcome."""
        with self.changed:
            self.reported = True
            self.changed.notify_all()

    def finish(self, *, acked: bool) -> None:
        """Note that nothing is left to do, and whether the end is acknowledged."""
        with self.changed:
            self.finish_acked, self.done = acked, True
            self.changed.notify_all()

    def give_up(self) -> None:
        """Note that the collector will never take the run."""
        with self.changed:
            self.refused = True
            self.changed.notify_all()

    def wake_retries(self) -> None:
        """End every pause between two tries."""
        with self.changed:
            self._retry_now = True
            self.changed.notify_all()

    def pause(self, seconds: float) -> bool:
        """Wait before another try; True if `wake_retries` ended the pause."""
        with self.changed:
            self.changed.notify_all()  # `finish` counts the tries
            self.changed.wait_for(lambda: self._retry_now or self.closed, seconds)
            self.check()
            woken, self._retry_now = self._retry_now, False
            return woken

    def pause_until_end(self, seconds: float) -> bool:
        """Wait before another try; raise `Closed` once the run has ended."""
        with self.changed:
            if self.changed.wait_for(lambda: self.ending, seconds):
                raise Closed
            return False

    def check(self) -> None:
        """Raise `Closed` if the sender was closed."""
        if self.closed:
            raise Closed
