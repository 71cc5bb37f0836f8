"""How much one token may ask for, so that none takes the collector from the others."""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict, deque
from collections.abc import Callable

from htga_server.settings import Settings

LONGEST = 30
"""Seconds that anybody is put off at most."""
MOST_KEPT = 10_000
FAILURES_PER_MINUTE = 10


class Bucket:
    """What flows in at a rate, up to a burst, may be taken; taking too much leaves a debt."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._since = burst, 0.0

    def wait(self, now: float, need: float = 0.0) -> float:
        """Seconds until more than nothing, and at least `need`, may be taken."""
        self._level = min(self._burst, self._level + (now - self._since) * self._rate)
        self._since = now
        return max(0.0, (need - self._level) / self._rate)

    def take(self, amount: float) -> None:
        """Take it, whether it is there or not."""
        self._level -= amount


class Share:
    """What one token has under way, and what it may still ask for."""

    def __init__(self, settings: Settings) -> None:
        self.requests = Bucket(settings.requests_per_second, settings.request_burst)
        self.bytes = Bucket(
            settings.bytes_per_second, max(settings.bytes_per_second, settings.body_limit)
        )
        self.in_flight = 0


class Rates:
    """The shares of all tokens.

    Args:
        clock: Seconds from any moment on.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._shares: dict[str, Share] = {}

    def share(self, token_id: str) -> Share:
        """That of a token."""
        if token_id not in self._shares and len(self._shares) >= MOST_KEPT:
            self._shares = {key: one for key, one in self._shares.items() if one.in_flight}
        return self._shares.setdefault(token_id, Share(self._settings))

    def refusal(self, share: Share) -> tuple[str, int] | None:
        """Why a request must wait, and for how many seconds; None where it may go on.

        A request that may go on is counted.
        """
        now = self._clock()
        if share.in_flight >= self._settings.in_flight:
            return f"{share.in_flight} requests of this token are under way", _spread(0.0)
        if wait := share.requests.wait(now, 1.0):
            most = self._settings.requests_per_second
            return f"this token asks more than {most:g} times a second", _spread(wait)
        if wait := share.bytes.wait(now):
            most = self._settings.bytes_per_second / 2**20
            return f"this token sends more than {most:g} MiB a second", _spread(wait)
        share.requests.take(1.0)
        return None


class Failures:
    """Counts wrong tokens by address, over a minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = defaultdict(deque)

    def too_many(self, who: str) -> bool:
        """Note another, and say whether there were too many."""
        now = self._clock()
        if who not in self._times and len(self._times) >= MOST_KEPT:
            self._times.clear()
        times = self._times[who]
        while times and now - times[0] >= 60:
            times.popleft()
        if len(times) >= FAILURES_PER_MINUTE:
            return True
        times.append(now)
        return False


def _spread(wait: float) -> int:
    """Whole seconds, not less than `wait`, so that all who were put off do not come at once."""
    return min(LONGEST, max(1, math.ceil(wait)) + random.randint(0, 3))  # noqa: S311
