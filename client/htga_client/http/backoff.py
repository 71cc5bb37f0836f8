"""How long to leave a collector alone before the next try."""

from __future__ import annotations

import random
from collections.abc import Callable

MAX_RETRY_AFTER = 300.0

UNEVEN = 0.15
"""By which part of it a pause between requests may be shorter or longer."""


def uneven(seconds: float, uniform: Callable[[], float] = random.random) -> float:
    """About so many seconds, a different number each time.

    A collector answers together those who ask together. With pauses of one length they would come
    back together for ever, and each of them would wait for all the others.

    Args:
        seconds: Mean of the pauses.
        uniform: Source of numbers in [0, 1).
    """
    return seconds * (1 + UNEVEN * (2 * uniform() - 1))


class Backoff:
    """Exponential backoff with full jitter: uniform between 0 and a bound that doubles.

    Full jitter spreads a fleet of clients evenly over the time after an outage (M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Args:
        first: Bound of the first delay, in seconds.
        cap: Bound of every delay, in seconds.
        uniform: Source of numbers in [0, 1).
    """

    def __init__(
        self,
        *,
        first: float = 0.5,
        cap: float = 30.0,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._first = first
        self._cap = cap
        self._uniform = uniform
        self._bound = first

    def reset(self) -> None:
        """Start again with the first bound."""
        self._bound = self._first

    def delay(self, retry_after: float | None = None) -> float:
        """Seconds to wait now.

        What the server asked for is honoured up to `MAX_RETRY_AFTER`, plus up to a tenth, so
        that a fleet that was told the same number does not return as one.
        """
        bound = min(self._bound, self._cap)
        self._bound = min(2 * self._bound, self._cap)
        if retry_after is not None:
            return min(max(retry_after, 0.0), MAX_RETRY_AFTER) * (1 + 0.1 * self._uniform())
        return bound * self._uniform()
