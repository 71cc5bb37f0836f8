"""From the series of several runs to the lines of one chart.

A line is a run, or the mean of a group of runs. The members of a group are put on one grid of x by
linear interpolation, each only between its own first and last value and never over a gap, so a run
that ended early has no say in what came after; `n` tells how many had.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from htga_client.spread import spread
from htga_client.wire import Run, Series
from htga_dashboard.comparison import Axis, Band, Comparison
from htga_dashboard.config import setting

Floats = NDArray[np.float64]

GRID = 600
"""Points on the grid of a group at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart and what lies around it; all arrays of one length.

    Attributes:
        x: Steps, or seconds.
        y: What the line shows, smoothed.
        low, high: Around a run, the extremes within each bucket; around a group, its band.
        n: How many runs each point is the mean of.
    """

    x: Floats
    y: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs that are one line.

    Attributes:
        label: What they have in common.
        runs: At least one.
    """

    label: str
    runs: tuple[Run, ...]


def groups(runs: Sequence[Run], by: Sequence[str]) -> list[Group]:
    """Runs by their values of the settings `by`, each alone where there are none to group by."""
    if not by:
        return [Group(label=run.name or run.id, runs=(run,)) for run in runs]
    together: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        together.setdefault(tuple(setting(run, name) for name in by), []).append(run)
    return [
        Group(
            label=", ".join(f"{name}={value}" for name, value in zip(by, values, strict=True)),
            runs=tuple(members),
        )
        for values, members in together.items()
    ]


def line(series: Sequence[Series], key: str, how: Comparison) -> Line:
    """The line of one run, or of the mean of several.

    Args:
        series: Of the members of a group; each holds `key`, or it has no part in the line.
        key: What to draw.
        how: Its `x`, `smoothing`, `log` and `band`.
    """
    found = [_points(one, key, how.x) for one in series if key in one.keys]
    found = [points for points in found if len(points[0])]
    if not found:
        nothing = np.empty(0)
        return Line(x=nothing, y=nothing, low=nothing, high=nothing, n=np.empty(0, np.int64))
    if len(found) == 1:
        x, mean, low, high = found[0]
        y = smoothed(mean, how.smoothing, log=how.log)
        return Line(x=x, y=y, low=low, high=high, n=np.ones(len(x), np.int64))
    grid = _grid([x for x, *_ in found])
    means = [_onto(grid, x, smoothed(y, how.smoothing, log=how.log)) for x, y, *_ in found]
    extremes = [[_onto(grid, x, ends) for ends in (low, high)] for x, _, low, high in found]
    return _mean(grid, np.stack(means), np.array(extremes), how.band)


def smoothed(values: Floats, weight: float, *, log: bool = False) -> Floats:
    """The exponential moving average of values, without the bias of its start (Kingma and Ba 2015).

    NaN and infinity stay where they are and have no part in the others. With `log` it is the
    logarithms that are averaged, as a logarithmic axis shows them.
    """
    if not weight:
        return values
    logarithmic = log and bool((values[np.isfinite(values)] > 0).all())
    with np.errstate(invalid="ignore"):  # minus infinity is passed over all the same
        inputs = np.log(values) if logarithmic else values
    mean, share = 0.0, 0.0
    found = values.copy()
    for place, value in enumerate(inputs):
        if math.isfinite(value):
            mean = weight * mean + (1 - weight) * value
            share = weight * share + (1 - weight)
            found[place] = math.exp(mean / share) if logarithmic else mean / share
    return found


def _points(series: Series, key: str, axis: Axis) -> tuple[Floats, Floats, Floats, Floats]:
    """x, mean, min and max of the buckets in which `key` was measured."""
    lists = series.keys[key]
    times = [math.nan if at is None else at for at in series.time]
    x = np.array(series.step if axis == "step" else times, np.float64)
    measured = np.array([value is not None for value in lists.mean], np.bool_) & np.isfinite(x)
    columns = (
        np.array([math.nan if value is None else value for value in values], np.float64)[measured]
        for values in (lists.mean, lists.min, lists.max)
    )
    x = x[measured]
    mean, low, high = columns
    return (x - x[0] if axis == "relative" and len(x) else x), mean, low, high


def _grid(xs: Sequence[Floats]) -> Floats:
    """Where a group is averaged: where its members are, or evenly if that is too often."""
    at = np.unique(np.concatenate(xs))
    return at if len(at) <= GRID else np.linspace(at[0], at[-1], GRID)


def _onto(grid: Floats, x: Floats, y: Floats) -> Floats:
    """`y` on the grid; NaN outside its own range and beside what is not finite."""
    # Interpolating takes what is not finite into its neighbours, which is what is wanted.
    values = np.interp(grid, x, y, left=math.nan, right=math.nan)
    return np.where(np.isfinite(values), values, math.nan)


def _mean(grid: Floats, members: Floats, extremes: Floats, band: Band) -> Line:
    """The mean of a group.

    Args:
        grid: Shape [G].
        members: The value of each on the grid, NaN where it has none, [M, G].
        extremes: The lowest and the highest that each really was there, [M, 2, G]. The range shows
            these, so that neither smoothing nor averaging can hide a spike.
        band: What to draw around the mean.
    """
    some = np.isfinite(members).any(axis=0)
    grid, found = grid[some], spread(members[:, some])
    if band == "range":
        low = np.fmin.reduce(extremes[:, 0, some])
        high = np.fmax.reduce(extremes[:, 1, some])
    else:
        half = {"sd": found.sd, "t95": found.half, "none": np.zeros(len(grid))}[band]
        low, high = found.mean - half, found.mean + half
    return Line(x=grid, y=found.mean, low=low, high=high, n=found.n)
