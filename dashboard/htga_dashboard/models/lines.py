"""From a group of runs, as the collector sends it, to a line of a chart.

The collector computes means, deviations and extremes; this module chooses the band and smooths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from htga_client.wire import GroupSeries
from htga_dashboard.models.comparison import Comparison

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart and its band; all arrays have the same length.

    Attributes:
        x: Steps, or seconds.
        y: Values of the line, smoothed.
        low, high: The extremes within each bucket of a run, or the band of a group; not smoothed.
        n: Number of runs behind each point.
    """

    x: Floats
    y: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]


def line(group: GroupSeries, key: str, how: Comparison) -> Line:
    """The line of one run, or of the mean of several, over the points where `key` was measured.

    Args:
        group: Series of the group.
        key: The key to draw.
        how: Gives `smoothing`, `log` and `band`.
    """
    found = group.keys[key]
    measured = np.array([value is not None for value in found.max], np.bool_)
    n = np.array(found.n, np.int64)[measured]
    x, mean = _floats(group.x)[measured], _floats(found.mean)[measured]
    if how.band == "range" or not (n > 1).any():
        low, high = _floats(found.min)[measured], _floats(found.max)[measured]
    else:
        if how.band == "t95":
            low, high = _floats(found.low)[measured], _floats(found.high)[measured]
        else:
            apart = _floats(found.sd)[measured] * (how.band == "sd")
            low, high = mean - apart, mean + apart
        alone = n < 2  # a single run has no deviation
        low, high = np.where(alone, mean, low), np.where(alone, mean, high)
    return Line(x=x, y=smoothed(mean, how.smoothing, log=how.log), low=low, high=high, n=n)


def smoothed(values: Floats, weight: float, *, log: bool = False) -> Floats:
    """The exponential moving average of values, without start-up bias (Kingma and Ba 2015).

    NaN and infinity stay as they are and do not affect other values. With `log` the logarithms of
    positive values are averaged, to suit a logarithmic axis.
    """
    if not weight:
        return values
    logarithmic = log and bool((values[np.isfinite(values)] > 0).all())
    with np.errstate(invalid="ignore"):  # non-finite logarithms are skipped below
        inputs = np.log(values) if logarithmic else values
    mean, share = 0.0, 0.0
    found = values.copy()
    for place, value in enumerate(inputs):
        if math.isfinite(value):
            mean = weight * mean + (1 - weight) * value
            share = weight * share + (1 - weight)
            found[place] = math.exp(mean / share) if logarithmic else mean / share
    return found


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], np.float64)
