"""How many senders there are, and so how often each may send."""

from __future__ import annotations

import time
from collections.abc import Callable

from htga_server.live.viewers import PATIENCE

WINDOW = 10.0
"""Seconds within which a sender is heard again, however slowly it sends."""
REQUESTS = 100.0
"""A second, that a process answers with time to spare: a fifth of what keeps it busy."""
SLOWEST = 0.8 * PATIENCE
"""Seconds between requests at most, so that a sender learns in time that its run is looked at."""


class Fleet:
    """Counts the senders of this process, to have many of them send seldom.

    A request costs what fifty rows do. A thousand senders that each send once a second would keep
    a process busy with requests alone; their rows may as well wait, on their own disks, for others
    to go with them. Lives on one event loop.

    Args:
        clock: Seconds from any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._before: set[tuple[str, str | None]] = set()
        self._now: set[tuple[str, str | None]] = set()

    def pace(self, run_id: str, writer: str | None) -> float:
        """Seconds after which this sender is welcome again, if nobody is in a hurry."""
        age = self._clock() - self._begun
        if age >= WINDOW:
            self._before = self._now if age < 2 * WINDOW else set()
            self._now, self._begun = set(), self._clock()
        self._now.add((run_id, writer))
        return min(max(len(self._before), len(self._now)) / REQUESTS, SLOWEST)
