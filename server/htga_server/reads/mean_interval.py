"""Several runs at the same steps: their mean, how far they lie apart, and how sure the mean is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from htga_client.statistics.student_t import t_quantile

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """What M runs come to at each of G places; all arrays are of length G.

    Attributes:
        n: How many runs are finite there.
        mean: Of those; 0 where n is 0.
        sd: Their sample standard deviation; 0, like `half`, where n is less than 2.
        half: Half the width of the 95 % interval of the mean by Student's t.
    """

    n: NDArray[np.int64]
    mean: Floats
    sd: Floats
    half: Floats


def spread(values: Floats) -> Spread:
    """The spread of `values`, [M, G]; what is not finite has no part in it."""
    present = np.isfinite(values)
    n = present.sum(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.where(present, values, 0.0).sum(axis=0) / np.maximum(n, 1)
        apart = np.where(present, values - mean, 0.0)
        sd = np.sqrt((apart**2).sum(axis=0) / np.maximum(n - 1, 1))
        widths = {
            count: t_quantile(count - 1) / count**0.5 for count in set(n.tolist()) if count > 1
        }
        half = sd * np.array([widths.get(count, 0.0) for count in n.tolist()])
    return Spread(n=n, mean=mean, sd=sd, half=half)
