"""Where the training thread leaves rows for the thread that writes them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from htga_client.wire.row_encoder import Row

Item = Row | Callable[[], Row | Sequence[Row]]
"""A row, or what makes one or several; it is called on the writing thread."""


class Mark:
    """Waits in line like a row; `passed` is set when the rows before it have been written."""

    def __init__(self) -> None:
        self.passed = threading.Event()
        self.end = 0


class Intake:
    """A bounded queue whose `put` takes no lock that a garbage collection could need twice.

    Args:
        capacity: Items that may wait; what comes beyond is dropped and counted.
    """

    def __init__(self, capacity: int) -> None:
        self.dropped: Counter[str] = Counter()
        self._capacity = capacity
        # Its `put` is written in C and may be interrupted by another of the same thread.
        self._queue: SimpleQueue[Item | Mark] = SimpleQueue()
        self._ended = self._closed = False
        self._counting = threading.RLock()
        self._taken = 0  # items in the hands of the writing thread
        self._marks = 0  # marks in the queue

    def put(self, item: Item) -> str | None:
        """Take in an item, or say why not: "queue_full" or "closed"."""
        queue = self._queue
        if not self._ended and queue.qsize() < self._capacity:
            queue.put(item)
            return None
        cause = "closed" if self._ended else "queue_full"
        self.drop(cause, 1)
        return cause

    def drop(self, cause: str, count: int) -> None:
        """Book items or rows as lost."""
        if count:
            with self._counting:
                self.dropped[cause] += count

    def mark(self) -> Mark:
        """Put a mark behind everything put so far."""
        mark = Mark()
        with self._counting:
            self._marks += 1
            self._queue.put(mark)
        return mark

    def end(self) -> None:
        """Take in no more."""
        self._ended = True
        self.mark()  # wakes the writing thread

    def close(self) -> None:
        """Take in no more and drop what waits."""
        with self._counting:
            self.drop("closed", self.waiting)
            self._ended = self._closed = True
        self.mark()  # wakes the writing thread

    @property
    def waiting(self) -> int:
        """Items put and not yet settled by `done`."""
        with self._counting:
            return 0 if self._closed else self._queue.qsize() - self._marks + self._taken

    def take(self, count: int, *, linger: float) -> list[Item | Mark]:
        """The next items, at least one, and what else comes within `linger` seconds."""
        first = self._queue.get()
        self._taken = 1
        if not isinstance(first, Mark) and self._queue.qsize() < count:
            time.sleep(linger)
        items = [first]
        with self._counting:
            while len(items) < count:
                try:
                    items.append(self._queue.get_nowait())
                except Empty:
                    break
            marks = sum(isinstance(item, Mark) for item in items)
            self._marks -= marks
            self._taken = len(items) - marks
        return items

    def done(self) -> None:
        """The items taken last are no longer in anyone's hands."""
        with self._counting:
            self._taken = 0
