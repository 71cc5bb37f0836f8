"""The variance of the last values."""

from __future__ import annotations

import numpy as np


class SlidingVariance:
    """The sample variance of the last `size` values.

    It is computed from the values each time, so rounding errors do not add up.

    Args:
        size: Number of values.
    """

    def __init__(self, size: int = 100) -> None:
        self._values = np.empty(size)
        self._seen = 0

    def push(self, value: float) -> float | None:
        """Add a value; returns the variance (with n - 1) of the last `size` values.

        None if there are not two values yet. A NaN or an infinity makes it NaN as long as it is
        among the last values: the variance is not defined then, and leaving them out would hide
        them.
        """
        self._values[self._seen % self._values.size] = value
        self._seen += 1
        inside = self._values[: self._seen]
        if inside.size < 2:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            return float(np.var(inside, ddof=1))
