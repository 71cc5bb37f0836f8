"""What waits between the training thread and the worker, and the books about it."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Literal

from htga_client.delivery import DeadBatch
from htga_client.rows import Row
from htga_client.stats import Stats

Item = Row | Callable[[], Row | Sequence[Row]]
"""A row, or what makes one or several; it is called on the worker thread."""

State = Literal["finished", "failed"]


class Closed(Exception):
    """The backlog was closed; raised in the worker to lead it out of its loops."""


class Backlog:
    """A bounded queue that counts what becomes of every row. Both threads may call anything.

    Args:
        capacity: Items that may wait; what comes beyond is dropped and counted.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # Reentrant: a signal handler or the garbage collector may log in the midst of a `put`.
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[Item] = deque()
        self._in_flight = 0  # rows
        self._wake_at = 0  # length of the queue that the worker waits for
        self._accepted = self._settled = self._flush_to = 0  # items since the beginning
        self._logged = self._acked = 0
        self._dropped: Counter[str] = Counter()
        self._nudged = self._closed = self._left = False
        self._ending: State | None = None

    # The caller's side.

    def put(self, item: Item) -> str | None:
        """Take in an item, or say why not: "queue_full" or "closed"."""
        with self._changed:
            self._logged += 1
            queue = self._queue
            if self._ending is None and len(queue) < self._capacity:
                queue.append(item)
                self._accepted += 1
                if len(queue) == self._wake_at:
                    self._changed.notify_all()
                return None
            cause = "queue_full" if self._ending is None else "closed"
            self._dropped[cause] += 1
            return cause

    def flush(self, timeout: float) -> bool:
        """Wait until every item put so far is settled; True if the collector has all rows."""
        with self._changed:
            self._flush_to = self._accepted
            self._nudge()
            settled = self._changed.wait_for(lambda: self._settled >= self._flush_to, timeout)
            return settled and not self._dropped.total()

    def end(self, state: State, timeout: float) -> bool:
        """Take in no more, and wait for the worker to leave; True if the collector has all rows."""
        with self._changed:
            self._ending = self._ending or state
            self._nudge()
            left = self._changed.wait_for(lambda: self._left or self._closed, timeout)
            return left and not self._dropped.total()

    def close(self) -> None:
        """Drop what waits and send the worker away."""
        with self._changed:
            self._closed = True
            self._ending = self._ending or "failed"
            self._dropped["closed"] += len(self._queue) + self._in_flight
            self._queue.clear()
            self._in_flight = 0
            self._settled = self._accepted
            self._changed.notify_all()

    @property
    def ending(self) -> State | None:
        """How the run ended, once it has."""
        return self._ending

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def stats(self, *, retries: int, reached: bool) -> Stats:
        """The books as of now."""
        with self._changed:
            return Stats(
                logged=self._logged,
                acked=self._acked,
                queued=len(self._queue) + self._in_flight,
                dropped=dict(+self._dropped),
                retries=retries,
                reached=reached,
            )

    # The worker's side; everything here raises `Closed` after `close`.

    def take(self, count: int, *, linger: float) -> list[Item]:
        """The next items, waiting `linger` seconds for `count` of them; none after the end."""
        with self._changed:
            self._await(1, timeout=None)
            self._await(count, timeout=linger)
            self._check()
            self._in_flight = min(len(self._queue), count)
            return [self._queue.popleft() for _ in range(self._in_flight)]

    def resolve(self, *, items: int, rows: int, failed: int) -> None:
        """Book that the items taken are so many rows, and that some could not be made."""
        with self._changed:
            self._check()
            self._logged += rows + failed - items
            self._dropped["callable"] += failed
            self._in_flight = rows

    def settle(self, *, items: int, dead: Sequence[DeadBatch]) -> None:
        """Book that the items taken are delivered but for some rows."""
        with self._changed:
            self._check()
            lost = Counter[str]()
            for batch in dead:
                lost[batch.cause] += len(batch.rows)
            self._dropped += lost
            self._acked += self._in_flight - lost.total()
            self._in_flight = 0
            self._settled += items
            self._changed.notify_all()

    def pause(self, seconds: float) -> bool:
        """Wait before another try; True if a caller of `flush` or `end` waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._nudged or self._closed, seconds)
            self._check()
            nudged, self._nudged = self._nudged, False
            return nudged

    def leave(self) -> None:
        """Book that the worker has left."""
        with self._changed:
            self._left = True
            self._changed.notify_all()

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

    def _nudge(self) -> None:
        self._nudged = True
        self._changed.notify_all()

    def _check(self) -> None:
        if self._closed:
            raise Closed
