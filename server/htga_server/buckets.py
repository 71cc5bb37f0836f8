"""Reducing many points to few without hiding a spike. Pure functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def starts(step: NDArray[np.int64], buckets: int) -> NDArray[np.intp]:
    """Index of the first row of each bucket.

    The range of steps is cut into at most `buckets` parts of equal width, so that a bucket means
    the same stretch of training wherever it lies; parts without a row are left out.

    Args:
        step: Increasing steps, shape [rows].
        buckets: How many parts at most, at least 1.

    Returns:
        Increasing indices, shape [at most buckets]; every row its own when there are few enough.
    """
    if step.size <= buckets:
        return np.arange(step.size)
    width = -(-(int(step[-1]) - int(step[0]) + 1) // buckets)
    part = (step - step[0]) // width
    return np.flatnonzero(np.diff(part, prepend=-1))


def reduce(values: Floats, first: NDArray[np.intp]) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, minimum, maximum and last value of each bucket.

    The mean is the plain one: one NaN or infinity in a bucket makes it non-finite. Minimum and
    maximum pass over NaN unless a bucket holds nothing else.

    Args:
        values: Shape [rows]; no value may be missing.
        first: Index of each bucket's first row, from `starts`.

    Returns:
        Four arrays of shape [buckets].
    """
    if values.size == 0:
        return values, values, values, values
    size = np.diff(first, append=values.size)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = np.add.reduceat(values, first) / size
    last = values[first + size - 1]
    return mean, np.fmin.reduceat(values, first), np.fmax.reduceat(values, first), last
