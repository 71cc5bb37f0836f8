"""Several runs on one grid, whatever the places at which each was measured. Pure functions.

A member keeps its own values where the grid has a place for them. In between it is interpolated,
only within its own range and never beside what is not finite, so that a mean over members does not
jump from the one who was measured here to the one who was measured there. Extremes stay what they
were, at the place nearest to them, so that no grid hides a spike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from htga_server.timeseries import rollup as pyramid
from htga_server.timeseries.rollup import Cells

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Aligned:
    """One key of M members on a grid of G places; all arrays are of shape [M, G].

    Attributes:
        mean: NaN where a member has no value.
        low, high: Its extremes, with those of its cells that lie nearest to the place.
        measured: Whether one of its cells lies nearest to the place.
    """

    mean: Floats
    low: Floats
    high: Floats
    measured: NDArray[np.bool_]


def grid(xs: Sequence[Floats], most: int) -> tuple[Floats, list[NDArray[np.int64]]]:
    """Where members meet, and the place on it that each cell of each of them is nearest to.

    Args:
        xs: Where the cells of each member are, increasing unless there is only one member, whose
            cells are the grid.
        most: Places at most: where all cells are, or if that is too often some that are evenly
            spaced, without those that no cell is nearest to.
    """
    if len(xs) == 1:
        return xs[0], [np.arange(xs[0].size)]
    every = np.unique(np.concatenate([np.zeros(0), *xs]))
    if every.size <= most:
        return every, [np.searchsorted(every, x) for x in xs]
    even = np.linspace(every[0], every[-1], most)
    between = (even[1:] + even[:-1]) / 2
    nearest = np.unique(np.searchsorted(between, every))
    return even[nearest], [np.searchsorted(nearest, np.searchsorted(between, x)) for x in xs]


def on_places(cells: Cells, x: Floats, places: NDArray[np.int64]) -> Cells:
    """Cells of one member at the places that they are nearest to, with x in place of the time."""
    return pyramid.merge(replace(cells, at=places, time=x), 1)


def align(key: str, members: Sequence[Cells], places: Floats) -> Aligned:
    """One key of all members on the grid `places`.

    Args:
        members: From `on_places`.
    """
    values = np.full((3, len(members), places.size), np.nan)
    measured = np.zeros((len(members), places.size), np.bool_)
    for row, cells in enumerate(members):
        stats = cells.stats[:, cells.keys.index(key)]
        some = stats["count"] > 0
        _put(values[:, row], cells.at[some], cells.time[some], stats[some], places)
        measured[row, cells.at[some]] = True
    mean, low, high = values
    return Aligned(mean, low, high, measured)


def _put(
    values: Floats,
    at: NDArray[np.int64],
    x: Floats,
    stats: pyramid.Stats,
    places: Floats,
) -> None:
    """Put mean, low and high of one member, [3, G], from its cells at the places `at`."""
    if at.size == 0:
        return
    own = np.stack([stats["total"] / stats["count"], stats["low"], stats["high"]])
    inside = slice(at[0], at[-1] + 1)
    for row, ends in zip(values, own, strict=True):
        # Interpolating takes what is not finite into its neighbours, which is what is wanted.
        row[inside] = np.interp(places[inside], x, ends)
    values[:, ~np.isfinite(values[0])] = np.nan
    kept = (x == places[at]) | np.isnan(values[0, at])
    values[0, at[kept]] = own[0, kept]
    values[1, at] = np.fmin(values[1, at], own[1])
    values[2, at] = np.fmax(values[2, at], own[2])
