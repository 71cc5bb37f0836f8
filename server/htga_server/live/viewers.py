"""Which runs someone looks at."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 10.0
"""Seconds for which a run counts as looked at: pages that show it read it with each news."""
MOST = 10_000


class Attention:
    """Remembers which runs were read lately, in this process and in others.

    Senders of other runs may take their time, so that a page left open somewhere does not have
    every sender hurry. Lives on one event loop.

    Args:
        clock: Seconds from any beginning.

    Attributes:
        announce: Told of a run, at most every half `PATIENCE`, that is read here.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.announce: Callable[[str], None] = lambda _run_id: None
        self._clock = clock
        self._until: dict[str, float] = {}

    def look(self, run_id: str) -> None:
        """Someone reads the run here."""
        if self._until.get(run_id, 0.0) < self._clock() + PATIENCE / 2:
            self.hear(run_id)
            self.announce(run_id)

    def hear(self, run_id: str) -> None:
        """Someone reads the run, here or elsewhere."""
        now = self._clock()
        if len(self._until) >= MOST:
            self._until = {one: until for one, until in self._until.items() if until > now}
        self._until[run_id] = now + PATIENCE

    def follows(self, run_id: str) -> bool:
        """Whether the run was read lately."""
        return self._until.get(run_id, 0.0) > self._clock()
