"""The mean over runs at the same places, with its standard deviation and 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from htga_client.statistics.student_t import t_quantile

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """The mean over M runs at each of G places; all arrays have length G.

    Attributes:
        n: The number of runs with a finite value.
        mean: Their mean; 0 where n is 0.
        sd: Their sample standard deviation; 0 where n is less than 2.
        half: Half the width of the 95 % interval of the mean by Student's t; 0 likewise.
    """

    n: NDArray[np.int64]
    mean: Floats
    sd: Floats
    half: Floats


def mean_interval(values: Floats) -> MeanInterval:
    """Return the mean of `values`, [M, G], over the first axis, without non-finite values."""
    present = np.isfinite(values)
    n = present.sum(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.where(present, values, 0.0).sum(axis=0) / np.maximum(n, 1)
        deviations = np.where(present, values - mean, 0.0)
        sd = np.sqrt((deviations**2).sum(axis=0) / np.maximum(n - 1, 1))
        widths = {
            count: t_quantile(count - 1) / count**0.5 for count in set(n.tolist()) if count > 1
        }
        half = sd * np.array([widths.get(count, 0.0) for count in n.tolist()])
    return MeanInterval(n=n, mean=mean, sd=sd, half=half)
