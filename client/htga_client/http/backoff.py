"""Delays between requests to a collector."""

from __future__ import annotations

import random
from collections.abc import Callable

MAX_RETRY_AFTER = 300.0

JITTER = 0.15
"""Fraction by which a pause between requests may be shorter or longer."""


def jittered(seconds: float, uniform: Callable[[], float] = random.random) -> float:
    """A pause of about so many seconds, drawn anew each time.

    A collector answers clients together that ask together. With pauses of one length they would
    come back together for ever, and each of them would wait for all the others.

    Args:
        seconds: Mean of the pauses.
        uniform: Source of numbers in [0, 1).
    """
    return seconds * (1 + JITTER * (2 * uniform() - 1))


class Backoff:
    """Exponential backoff with full jitter: uniform between 0 and a bound that doubles.

    Full jitter spreads many clients evenly over the time after an outage (M. Brooker,
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

        Args:
            retry_after: Seconds that the server asked for. They are honoured up to
                `MAX_RETRY_AFTER`, plus up to a tenth, so that clients that were given the same
                number do not return together.
        """
        bound = min(self._bound, self._cap)
        self._bound = min(2 * self._bound, self._cap)
        if retry_after is not None:
            return min(max(retry_after, 0.0), MAX_RETRY_AFTER) * (1 + 0.1 * self._uniform())
        return bound * self._uniform()
