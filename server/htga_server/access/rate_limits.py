"""Rate limits for each token, so that no token keeps the collector from the others."""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict, deque
from collections.abc import Callable

from starlette.types import Scope

from htga_server.settings import Settings

MAX_RETRY_SECONDS = 30
"""Longest time for which a client is told to wait."""
MAX_KEPT = 10_000
FAILURES_PER_MINUTE = 10
TOO_MANY_FAILURES = "too many wrong tokens from this address; wait a minute"


class TokenBucket:
    """A token bucket; it may go into debt."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._since = burst, 0.0

    def wait(self, now: float, need: float = 0.0) -> float:
        """Return the seconds until the level is at least `need`, and not in debt."""
        self._level = min(self._burst, self._level + (now - self._since) * self._rate)
        self._since = now
        return max(0.0, (need - self._level) / self._rate)

    def take(self, amount: float) -> None:
        """Take an amount, even if that makes a debt."""
        self._level -= amount


class ClientUsage:
    """The running requests of one token, and its buckets for requests and bytes."""

    def __init__(self, settings: Settings) -> None:
        self.requests = TokenBucket(settings.requests_per_second, settings.request_burst)
        self.bytes = TokenBucket(
            settings.bytes_per_second, max(settings.bytes_per_second, settings.body_limit)
        )
        self.in_flight = 0


class RateLimits:
    """The usage of all tokens.

    Args:
        clock: Seconds from any beginning.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._usages: dict[str, ClientUsage] = {}

    def usage(self, token_id: str) -> ClientUsage:
        """Return the usage of a token."""
        if token_id not in self._usages and len(self._usages) >= MAX_KEPT:
            self._usages = {key: one for key, one in self._usages.items() if one.in_flight}
        return self._usages.setdefault(token_id, ClientUsage(self._settings))

    def check(self, usage: ClientUsage) -> tuple[str, int] | None:
        """Return why a request must wait and for how many seconds, or None, which counts it."""
        now = self._clock()
        if usage.in_flight >= self._settings.in_flight:
            return f"{usage.in_flight} requests of this token are under way", _retry_after(0.0)
        if wait := usage.requests.wait(now, 1.0):
            limit = self._settings.requests_per_second
            return f"this token asks more than {limit:g} times a second", _retry_after(wait)
        if wait := usage.bytes.wait(now):
            limit = self._settings.bytes_per_second / 2**20
            return f"this token sends more than {limit:g} MiB a second", _retry_after(wait)
        usage.requests.take(1.0)
        return None


class Failures:
    """Counts wrong tokens by address, over a minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = defaultdict(deque)

    def too_many(self, address: str) -> bool:
        """Count another failure; return whether there were too many."""
        now = self._clock()
        if address not in self._times and len(self._times) >= MAX_KEPT:
            self._times.clear()
        times = self._times[address]
        while times and now - times[0] >= 60:
            times.popleft()
        if len(times) >= FAILURES_PER_MINUTE:
            return True
        times.append(now)
        return False


def client_address(scope: Scope) -> str:
    """Return the address that sent a request, or "" if it has none."""
    return scope["client"][0] if scope.get("client") else ""


def _retry_after(wait: float) -> int:
    """Return whole seconds, at least `wait`, spread so that clients do not return at once."""
    return min(MAX_RETRY_SECONDS, max(1, math.ceil(wait)) + random.randint(0, 3))  # noqa: S311
