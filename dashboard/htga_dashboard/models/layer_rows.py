"""The layers of a run as rows of one figure: filtered, sorted, and merged where there are many.

A figure has room for about sixty rows. With more layers, each row stands for a few neighbours in
the sort order and shows the worst of them, so one bad layer among thousands stays visible.
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
Order = Literal["worst", "model", "name", "varying"]

ROWS = 64
"""Maximum number of rows; one click on a row opens up to as many layers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A key by which layers can be compared.

    Attributes:
        label: Its name on screen.
        note: What a cell shows.
        low: Whether low values are the bad ones, as with a tail index.
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
    "noise_alpha": Measure(
        label="noise tail index",
        note="over minibatches, mean of each bucket, blank where it was not measured",
        low=True,
    ),
    "esd_alpha": Measure(
        label="spectral tail index",
        note="of the layer's weights, mean of each bucket, blank where it was not measured",
        low=True,
    ),
    "grad_norm": Measure(label="gradient norm", note="highest of each bucket"),
    "n_nonfinite": Measure(label="NaN and infinity", note="entries, highest of each bucket"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRows:
    """The rows of a figure of layers: R rows, S columns.

    Attributes:
        layers: Names of the layers of each row; one, unless there are too many.
        step: Step of each column.
        shown: Values, NaN where nothing was measured, [R, S].
        low, high: Minimum and maximum behind each value, [R, S].
        source_layer: Index, within its row, of the layer that each value comes from, [R, S].
        broken: Whether a gradient was NaN or infinite, [R, S].
        total: Number of layers before filtering.
    """

    layers: list[tuple[str, ...]]
    step: list[int]
    shown: Floats
    low: Floats
    high: Floats
    source_layer: NDArray[np.int64]
    broken: Mask
    total: int


def layer_rows(
    found: LayerMap, order: Order = "model", *, match: str = "", among: Sequence[str] = ()
) -> LayerRows:
    """Filter, sort and merge the layers of `found`.

    Args:
        found: Values of all layers.
        order: The worst first, by the mean over the steps shown; the most varying first; as
            in the model; or by name.
        match: Part of a name, or a pattern with `*`; only layers that it fits.
        among: Only these layers, where any are given.
    """
    measure = MEASURES[found.key]
    mean, low, high = (_array(found, lists) for lists in (found.mean, found.min, found.max))
    measured = np.array([[v is not None for v in row] for row in found.mean], np.bool_)
    measured = measured.reshape(mean.shape)
    finite = np.isfinite(mean) & np.isfinite(low) & np.isfinite(high)
    # A tail index of NaN only says that there were too few entries.
    broken = measured & ~finite & (not measure.low)
    value = np.where(np.isfinite(mean), mean, np.nan) if measure.low else high
    value = np.where(np.isfinite(value), value, np.nan)
    if not measure.low:  # compared by their logarithms, which zero lacks
        value = np.where(value > 0, value, np.nan)
    # The higher, the worse.
    badness = -value if measure.low else np.log10(value)

    wanted = match.strip().casefold()
    kept = [
        place
        for place, name in enumerate(found.layers)
        if (not among or name in among) and _fits(name.casefold(), wanted)
    ]
    kept = _ranked(kept, order, found.layers, badness, broken)

    size = -(-len(kept) // ROWS) or 1
    rows = [kept[at : at + size] for at in range(0, len(kept), size)]
    columns = np.arange(len(found.step))
    shape = (len(rows), len(columns))
    source_layer = np.zeros(shape, np.int64)
    for row, members in zip(source_layer, rows, strict=True):
        row[:] = np.where(np.isnan(badness[members]), -np.inf, badness[members]).argmax(axis=0)
    of = np.array(
        [[row[at] for at in who] for row, who in zip(rows, source_layer, strict=True)], np.int64
    )
    of = of.reshape(shape)
    return LayerRows(
        layers=[tuple(found.layers[place] for place in row) for row in rows],
        step=found.step,
        shown=value[of, columns],
        low=low[of, columns],
        high=high[of, columns],
        source_layer=source_layer,
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
    """Indices of layers in the chosen order; layers with non-finite values are the worst."""
    if order == "model":
        return places
    if order == "name":
        return sorted(places, key=lambda place: names[place])
    return sorted(places, key=lambda place: (-broken[place].sum(), -_score(value[place], order)))


def _score(badness: Floats, order: Order) -> float:
    finite = badness[np.isfinite(badness)]
    if not len(finite):
        return -np.inf
    return float(finite.std() if order == "varying" else finite.mean())
