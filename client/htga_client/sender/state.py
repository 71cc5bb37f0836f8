"""How far a sender has come; what its threads and its callers wait for."""

from __future__ import annotations

import threading
from typing import Literal

State = Literal["finished", "failed"]


class Closed(Exception):
    """The sender was closed; raised in its threads to lead them out of their loops."""


class Lifecycle:
    """State shared by the threads of one sender. All of it changes under `changed`.

    Nobody touches a disk or a network while he holds that, for the training thread waits for it.

    Attributes:
        changed: Notified whenever anything here, or how far the rows are, has changed.
        ending: How the run ended, once it has.
        written: Whether every row put before the end is in the spool.
        left: Whether there is nothing more to do.
        closed: Whether the sender was told to stop where it is.
        wanted: Number of the row up to which a caller of `flush` waits.
        awaited: Number of the row that the courier waits for; he is not woken for those before.
    """

    def __init__(self) -> None:
        # Reentrant: a signal handler or the garbage collector may come in the midst of it.
        self.changed = threading.Condition(threading.RLock())
        self.ending: State | None = None
        self.written = self.left = self.closed = False
        self.wanted = self.awaited = 0
        self._nudged = False

    @property
    def over(self) -> bool:
        """Whether the threads have left, or will at once."""
        return self.left or self.closed

    def spooled(self, end: int) -> None:
        """Wake the courier if the rows before number `end` are what he waits for."""
        with self.changed:
            if end > self.awaited:
                self.changed.notify_all()

    def want(self, seq: int) -> None:
        """Have the rows before number `seq` delivered at once."""
        with self.changed:
            self.wanted = max(self.wanted, seq)
            self.nudge()

    def nudge(self) -> None:
        """Have whoever pauses try again now."""
        with self.changed:
            self._nudged = True
            self.changed.notify_all()

    def pause(self, seconds: float) -> bool:
        """Wait before another try; True if `nudge` ended it."""
        with self.changed:
            self.changed.notify_all()  # `finish` counts the tries
            self.changed.wait_for(lambda: self._nudged or self.closed, seconds)
            self.check()
            nudged, self._nudged = self._nudged, False
            return nudged

    def wait(self, seconds: float) -> bool:
        """Wait before another try at what is no longer worth one once the run has ended."""
        with self.changed:
            if self.changed.wait_for(lambda: self.ending is not None, seconds):
                raise Closed
            return False

    def check(self) -> None:
        """Raise `Closed` once that is so."""
        if self.closed:
            raise Closed
