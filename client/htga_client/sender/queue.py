"""The queue between the training thread and the thread that writes the spool."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from htga_client.wire.row_encoder import Row

Item = Row | Callable[[], Row | Sequence[Row]]
"""A row, or a function that makes one row or several; the writing thread calls it."""


class FlushMarker:
    """Waits in the queue like a row.

    Attributes:
        passed: Set once every row before the marker is in the spool, or will never be.
        end: The sequence number after the last of those rows.
    """

    def __init__(self) -> None:
        self.passed = threading.Event()
        self.end = 0

    def pass_at(self, end: int) -> None:
        """Release the caller that waits for the rows before number `end`."""
        self.end = end
        self.passed.set()


class RowQueue:
    """A bounded queue. `put` takes no lock, so a garbage collection inside it may put, too.

    Args:
        capacity: Items that may wait; further ones are dropped and counted.

    Attributes:
        dropped: Items that were not taken in, by reason: "queue_full" or "closed".
    """

    def __init__(self, capacity: int) -> None:
        self.dropped: Counter[str] = Counter()
        self._capacity = capacity
        # Its `put` is written in C, and the same thread may enter it again while inside.
        self._queue: SimpleQueue[Item | FlushMarker] = SimpleQueue()
        self._ended = self._closed = False
        self._lock = threading.RLock()
        self._taken = 0  # items in the hands of the writing thread
        self._markers = 0  # markers in the queue
        self._end: int | None = None  # where the writing thread has stopped

    def put(self, item: Item) -> str | None:
        """Take in an item; returns None, or why not: "queue_full" or "closed"."""
        queue = self._queue
        if not self._ended and queue.qsize() < self._capacity:
            queue.put(item)
            return None
        reason = "closed" if self._ended else "queue_full"
        with self._lock:
            self.dropped[reason] += 1
        return reason

    def mark(self) -> FlushMarker:
        """Put a marker behind everything put so far."""
        marker = FlushMarker()
        with self._lock:
            if self._end is not None:
                marker.pass_at(self._end)
            else:
                self._markers += 1
                self._queue.put(marker)
        return marker

    def end(self) -> None:
        """Take in no more."""
        self._ended = True
        self.mark()  # wakes the writing thread

    def close(self) -> None:
        """Take in no more, and drop what waits."""
        with self._lock:
            if waiting := self.waiting:
                self.dropped["closed"] += waiting
            self._ended = self._closed = True
        self.mark()  # wakes the writing thread

    @property
    def waiting(self) -> int:
        """Items put and not yet reported by `done`."""
        with self._lock:
            return 0 if self._closed else self._queue.qsize() - self._markers + self._taken

    def take(self, count: int, *, linger: float) -> list[Item | FlushMarker]:
        """Up to `count` items: at least one, and those that come within `linger` seconds of it."""
        first = self._queue.get()
        self._taken = 1
        if not isinstance(first, FlushMarker) and self._queue.qsize() < count:
            time.sleep(linger)
        items = [first]
        with self._lock:
            while len(items) < count:
                try:
                    items.append(self._queue.get_nowait())
                except Empty:
                    break
            markers = sum(isinstance(item, FlushMarker) for item in items)
            self._markers -= markers
            self._taken = len(items) - markers
        return items

    def done(self) -> None:
        """Report that the items taken last are in the spool, or dropped and counted."""
        with self._lock:
            self._taken = 0

    def stop(self, end: int) -> None:
        """Report that the writing thread takes no more; release every present and later marker."""
        with self._lock:
            self._end = end
            while True:
                try:
                    item = self._queue.get_nowait()
                except Empty:
                    return
                if isinstance(item, FlushMarker):
                    self._markers -= 1
                    item.pass_at(end)
