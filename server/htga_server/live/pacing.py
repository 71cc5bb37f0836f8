"""How often each client may send, by the number of clients and whether its run is viewed."""

from __future__ import annotations

import time
from collections.abc import Callable

from htga_server.live.viewers import VIEW_TTL

VIEWED_SECONDS = 0.2
"""Interval of a client whose run is viewed."""
QUIET_SECONDS = 2.0
"""Interval of all others, as long as there are few."""
REQUESTS_PER_SECOND = 100.0
"""A fifth of what keeps one process busy."""
MAX_SECONDS = 0.8 * VIEW_TTL
"""Longest interval: a client must learn in time that its run is viewed."""
COUNT_SECONDS = 10.0
"""A client that sends at all does so within this time, so it is counted."""


class SenderPacing:
    """Counts active senders so that each can be told to send less often as their number grows.

    A request costs what fifty rows do. A thousand senders that each send once a second would keep
    a process busy with requests alone; their rows can wait on their own disks and come together.
    Lives on one event loop.

    Args:
        clock: Seconds from any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._before: set[tuple[str, str | None]] = set()
        self._now: set[tuple[str, str | None]] = set()

    def next_interval(self, run_id: str, writer: str | None, *, viewed: bool) -> float:
        """Count this sender; return the seconds that it should let pass before it sends again."""
        age = self._clock() - self._begun
        if age >= COUNT_SECONDS:
            self._before = self._now if age < 2 * COUNT_SECONDS else set()
            self._now, self._begun = set(), self._clock()
        self._now.add((run_id, writer))
        if viewed:
            return VIEWED_SECONDS
        senders = max(len(self._before), len(self._now))
        return min(max(QUIET_SECONDS, senders / REQUESTS_PER_SECOND), MAX_SECONDS)
