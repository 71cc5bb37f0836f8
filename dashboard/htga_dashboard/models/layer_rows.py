"""Layers as the rows of one picture: chosen, put in order, and put together where there are many.

A picture has room for some sixty rows. Of more layers than that each row is a few neighbours in the
chosen order, and shows the most telling of them, so that the one bad layer among thousands is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from htga_client.wire import LayerMap

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Order = Literal["telling", "model", "name", "varying"]

ROWS = 64
"""So many times so many layers are within one click."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A key that layers can be compared by.

    Attributes:
        label: For people.
        note: What a cell shows.
        low: Whether low values tell something, as with a tail index, and not the high ones.
    """

    label: str
    note: str
    low: bool = False


MEASURES = {
    "alpha_hat": Measure(
        label="tail index",
        note="mean of each bucket, blank where there are too few entries",
        low=True,
    ),
    "grad_norm": Measure(label="gradient norm", note="highest of each bucket"),
    "n_nonfinite": Measure(label="NaN and infinity", note="entries, highest of each bucket"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Strata:
    """The rows of a picture of layers.

    Attributes:
        layers: Names in each of R rows; one, unless there are too many.
        step: Of each of S columns.
        shown: Values, NaN where nothing was measured, [R, S].
        low, high: The range that each stands for, [R, S].
        whose: Place in its row of the layer that each value is of, [R, S].
        broken: Where a gradient was NaN or infinite, [R, S].
        total: How many layers were there to choose from.
    """

    layers: list[tuple[str, ...]]
    step: list[int]
    shown: Floats
    low: Floats
    high: Floats
    whose: NDArray[np.int64]
    broken: Mask
    total: int


def strata(
    found: LayerMap, order: Order = "model", *, match: str = "", among: Sequence[str] = ()
) -> Strata:
    """The rows of `found`.

    Args:
        found: Values of all layers.
        order: The most telling first, by the mean over the steps shown; the most varying first; as
            in the model; or by name.
        match: Part of a name, or a pattern with `*`; only layers that it fits.
        among: Only these layers, where any are given.
    """
    measure = MEASURES[found.key]
    mean, low, high = (_array(found, lists) for lists in (found.mean, found.min, found.max))
    measured = np.array([[v is not None for v in row] for row in found.mean], np.bool_)
    measured = measured.reshape(mean.shape)
    finite = np.isfinite(mean) & np.isfinite(low) & np.isfinite(high)
    # A tail index that is NaN says that there were too few entries to tell, and nothing more.
    broken = measured & ~finite & (not measure.low)
    value = np.where(np.isfinite(mean), mean, np.nan) if measure.low else high
    value = np.where(np.isfinite(value), value, np.nan)
    if not measure.low:  # sizes, to be compared by their logarithms; zero has no place there
        value = np.where(value > 0, value, np.nan)
    # The higher, the more telling.
    worth = -value if measure.low else np.log10(value)

    wanted = match.strip().casefold()
    kept = [
        place
        for place, name in enumerate(found.layers)
        if (not among or name in among) and _fits(name.casefold(), wanted)
    ]
    kept = _ranked(kept, order, found.layers, worth, broken)

    size = -(-len(kept) // ROWS) or 1
    rows = [kept[at : at + size] for at in range(0, len(kept), size)]
    columns = np.arange(len(found.step))
    shape = (len(rows), len(columns))
    whose = np.zeros(shape, np.int64)
    for row, members in zip(whose, rows, strict=True):
        row[:] = np.where(np.isnan(worth[members]), -np.inf, worth[members]).argmax(axis=0)
    of = np.array([[row[at] for at in who] for row, who in zip(rows, whose, strict=True)], np.int64)
    of = of.reshape(shape)
    return Strata(
        layers=[tuple(found.layers[place] for place in row) for row in rows],
        step=found.step,
        shown=value[of, columns],
        low=low[of, columns],
        high=high[of, columns],
        whose=whose,
        broken=np.array([broken[row].any(axis=0) for row in rows], np.bool_).reshape(shape),
        total=len(found.layers),
    )


def _array(found: LayerMap, lists: list[list[float | None]]) -> Floats:
    rows = [[np.nan if value is None else value for value in row] for row in lists]
    return np.array(rows, np.float64).reshape(len(found.layers), len(found.step))


def _fits(name: str, wanted: str) -> bool:
    return fnmatchcase(name, wanted) if "*" in wanted else wanted in name


def _ranked(
    places: list[int], order: Order, names: Sequence[str], value: Floats, broken: Mask
) -> list[int]:
    """Places of layers in the chosen order; those that are not finite tell most and come first."""
    if order == "model":
        return places
    if order == "name":
        return sorted(places, key=lambda place: names[place])
    return sorted(places, key=lambda place: (-broken[place].sum(), -_score(value[place], order)))


def _score(worth: Floats, order: Order) -> float:
    there = worth[np.isfinite(worth)]
    if not len(there):
        return -np.inf
    return float(there.std() if order == "varying" else there.mean())
