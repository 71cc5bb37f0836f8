"""Align several runs on one grid, wherever each was measured. Pure functions.

A run keeps its own values at places of the grid where it has any. Between them it is interpolated,
only within its own range and never next to a non-finite value, so that a mean over runs does not
jump between runs that were measured at different places. Extremes are not interpolated but kept at
the nearest place, so that no grid hides a spike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from htga_server.timeseries import rollup
from htga_server.timeseries.rollup import Rollups

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Aligned:
    """One key of M runs on a grid of G places; all arrays have shape [M, G].

    Attributes:
        mean: The value of each run, or NaN.
        low, high: The extremes, including those of the cells nearest to the place.
        measured: Whether the run has a cell that is nearest to the place.
    """

    mean: Floats
    low: Floats
    high: Floats
    measured: NDArray[np.bool_]


def grid(xs: Sequence[Floats], max_places: int) -> tuple[Floats, list[NDArray[np.int64]]]:
    """Return the grid of several runs, and for each run the nearest place of each of its cells.

    Args:
        xs: The x of the cells of each run, increasing. The cells of a single run are the grid, and
            need not increase.
        max_places: Maximum number of places. The grid has all x if they are few enough, otherwise
            evenly spaced places, without those that no cell is nearest to.
    """
    if len(xs) == 1:
        return xs[0], [np.arange(xs[0].size)]
    every = np.unique(np.concatenate([np.zeros(0), *xs]))
    if every.size <= max_places:
        return every, [np.searchsorted(every, x) for x in xs]
    even = np.linspace(every[0], every[-1], max_places)
    range_parameters = (even[1:] + even[:-1]) / 2
    nearest = np.unique(np.searchsorted(range_parameters, every))
    return even[nearest], [
        np.searchsorted(nearest, np.searchsorted(range_parameters, x)) for x in xs
    ]


def on_places(cells: Rollups, x: Floats, places: NDArray[np.int64]) -> Rollups:
    """Merge the cells of one run at their nearest places, with x in place of the time."""
    return rollup.merge(replace(cells, at=places, time=x), 1)


def align(key: str, members: Sequence[Rollups], places: Floats) -> Aligned:
    """Align one key of all runs on the grid `places`.

    Args:
        members: The cells of each run, from `on_places`.
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
    values: Floats, at: NDArray[np.int64], x: Floats, stats: rollup.Stats, places: Floats
) -> None:
    """Fill mean, low and high of one run, [3, G], from its cells at the places `at`."""
    if at.size == 0:
        return
    own = np.stack([stats["sum"] / stats["count"], stats["min"], stats["max"]])
    inside = slice(at[0], at[-1] + 1)
    for row, ends in zip(values, own, strict=True):
        # Interpolation spreads non-finite values to their neighbours, as it should.
        row[inside] = np.interp(places[inside], x, ends)
    values[:, ~np.isfinite(values[0])] = np.nan
    kept = (x == places[at]) | np.isnan(values[0, at])
    values[0, at[kept]] = own[0, kept]
    values[1, at] = np.fmin(values[1, at], own[1])
    values[2, at] = np.fmax(values[2, at], own[2])
