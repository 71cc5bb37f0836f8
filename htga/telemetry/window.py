"""Variance over the last steps."""

from __future__ import annotations

import numpy as np


class Window:
    """The sample variance of the last values.

    It is computed from the values each time, not updated, so no rounding error is carried along.

    Args:
        size: How many values count.
    """

    def __init__(self, size: int = 100) -> None:
        self._values = np.empty(size)
        self._seen = 0

    def push(self, value: float) -> float | None:
        """Take in a value and return the variance (with n - 1) of the window that ends with it.

        None if there are not two values yet. A NaN or an infinity makes it NaN as long as it is in
        the window: the variance of such values is not defined, and leaving them out would hide
        them.
        """
        self._values[self._seen % self._values.size] = value
        self._seen += 1
        inside = self._values[: self._seen]
        if inside.size < 2:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            return float(np.var(inside, ddof=1))
