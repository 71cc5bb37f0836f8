"""Which runs somebody is viewing."""

from __future__ import annotations

import time
from collections.abc import Callable

VIEW_TTL = 10.0
"""Seconds for which a run counts as viewed: an open page reads it again with every change."""
MAX_RUNS = 10_000


class ViewedRuns:
    """Remembers which runs were read lately, in this process and in others.

    Clients of all other runs may send less often. Lives on one event loop.

    Args:
        clock: Seconds from any beginning.

    Attributes:
        announce: Called with a run that is viewed here, at most once in half of `VIEW_TTL`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.announce: Callable[[str], None] = lambda _run_id: None
        self._clock = clock
        self._until: dict[str, float] = {}

    def mark_viewed(self, run_id: str) -> None:
        """Note that a reader of this process views the run."""
        if self._until.get(run_id, 0.0) < self._clock() + VIEW_TTL / 2:
            self.mark_viewed_by_peer(run_id)
            self.announce(run_id)

    def mark_viewed_by_peer(self, run_id: str) -> None:
        """Note that a reader of some process views the run, without announcing it."""
        now = self._clock()
        if len(self._until) >= MAX_RUNS:
            self._until = {one: until for one, until in self._until.items() if until > now}
        self._until[run_id] = now + VIEW_TTL

    def is_viewed(self, run_id: str) -> bool:
        """Whether the run was viewed within the last `VIEW_TTL` seconds."""
        return self._until.get(run_id, 0.0) > self._clock()
