"""The columns of validated rows as numpy arrays, and the checks of their values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from htga_client.wire import SCALARS
from htga_client.wire.histogram import Histograms, decode_joined
from htga_client.wire.limits import MAX_LABEL
from htga_server.ingest.arrow_columns import combined, dictionary_encode, ints, to_column
from htga_server.ingest.left_out import LeftOutParts
from htga_server.storage.bulk import Column
from htga_server.timeseries.histogram_blocks import BinaryColumn, from_list
from htga_server.timeseries.rollup import MAX_STEP
from htga_server.timeseries.row_batch import Ints

BAD_METRIC = f"its name is empty, holds a NUL, or has more than {MAX_LABEL} characters"
BAD_LAYER = f"its name holds a NUL, or has more than {MAX_LABEL} characters"
# The memory layout of a map; Arrow can flatten a list of structs, but not a map.
PAIRS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.float64())]))


@dataclass(frozen=True, slots=True)
class RowColumns:
    """The columns of R rows with M values of metrics.

    Attributes:
        step, rank, time: Columns of shape [R].
        layers, layer: The names of layers, and each row's index into them, [R].
        scalars: The scalars that any row has, by name, [R].
        has_histogram, decoded, blobs: Which rows have a histogram, [R], and the histograms.
        metrics, metric: The names of metrics, and each value's index into them, [M].
        owner, value: The row of each value, and the values, [M].
    """

    step: Column
    rank: Column
    time: Column
    layers: tuple[str, ...]
    layer: Ints
    scalars: dict[str, Column]
    has_histogram: NDArray[np.bool_]
    decoded: Histograms
    blobs: BinaryColumn
    metrics: tuple[str, ...]
    metric: Ints
    owner: Ints
    value: Column


def read_columns(table: pa.Table) -> RowColumns:
    """Read the columns of `wire.ROWS`; only scalars may be missing."""
    sent = [name for name in SCALARS if name in table.column_names]
    pairs = combined(table["metrics"]).cast(PAIRS)
    lengths = ints(pc.fill_null(pc.list_value_length(pairs), 0))
    flat = pairs.flatten()
    return RowColumns(
        to_column(table["step"]),
        to_column(table["rank"]),
        to_column(table["time"]),
        *dictionary_encode(pc.fill_null(table["layer"], "")),
        {name: to_column(table[name]) for name in sent if table[name].null_count < len(table)},
        np.asarray(table["histogram"].is_valid()),
        *_histograms(table["histogram"]),
        *dictionary_encode(flat.field(0)),
        np.repeat(np.arange(lengths.size), lengths),
        to_column(flat.field(1)),
    )


def check_rows(columns: RowColumns) -> dict[int, str]:
    """Return by row why it cannot be stored: it has no place among the others."""
    rejected: dict[int, str] = {}

    def reject(rows: Any, reason: str) -> None:
        for row in rows.tolist():
            rejected.setdefault(row, reason)

    step = columns.step.values
    if columns.step.measured is not None:
        reject(np.flatnonzero(~columns.step.measured), "step is missing")
    reject(np.flatnonzero(step < 0), "step is negative")
    reject(np.flatnonzero(step >= MAX_STEP), "step is 2**53 or more")
    reject(np.flatnonzero(columns.rank.values < 0), "rank is negative")
    return rejected


def without_bad_parts(
    columns: RowColumns, source: Ints
) -> tuple[RowColumns, dict[int, LeftOutParts]]:
    """Leave out what no row can have: metrics and layers by their names, and broken histograms.

    Of a row in a bad layer the metrics stay, and its event becomes one of the whole model.

    Args:
        source: The request of each row, [R].

    Returns:
        The other columns, and what was left out of the rows of each request.
    """
    parts: dict[int, LeftOutParts] = defaultdict(Counter)

    def leave_out(rows: Ints, what: str, names: Sequence[str], name: Ints, reason: str) -> None:
        found, counts = np.unique([source[rows], name], axis=1, return_counts=True)
        for request, which, count in zip(*found.tolist(), counts.tolist(), strict=True):
            parts[request][what, names[which], reason] += count

    bad = np.array([not 0 < len(n) <= MAX_LABEL or "\0" in n for n in columns.metrics], np.bool_)
    if bad.any():
        out = bad[columns.metric]
        leave_out(columns.owner[out], "metric", columns.metrics, columns.metric[out], BAD_METRIC)
        metric, owner, value = columns.metric[~out], columns.owner[~out], columns.value[~out]
        columns = replace(columns, metric=metric, owner=owner, value=value)
    broken = np.flatnonzero(columns.has_histogram)[~columns.decoded.valid]
    if broken.size:
        none = np.zeros(broken.size, np.int64)
        leave_out(broken, "histogram", ("",), none, "it cannot be read")
        columns = _without_histograms(columns, broken)
    bad = np.array([len(n) > MAX_LABEL or "\0" in n for n in columns.layers], np.bool_)
    if bad.any():
        rows = np.flatnonzero(bad[columns.layer])
        leave_out(rows, "layer", columns.layers, columns.layer[rows], BAD_LAYER)
        columns = _without_layer(columns, rows)
    return columns, parts


def _without_histograms(columns: RowColumns, rows: Ints) -> RowColumns:
    kept = columns.has_histogram.copy()
    kept[rows] = False
    blobs = columns.blobs.take(np.flatnonzero(kept[columns.has_histogram]))
    decoded = decode_joined(blobs.data, blobs.ends)
    return replace(columns, has_histogram=kept, blobs=blobs, decoded=decoded)


def _without_layer(columns: RowColumns, rows: Ints) -> RowColumns:
    """Take from rows what was measured of their layer."""
    layer = columns.layer.copy()
    layer[rows] = len(columns.layers)
    scalars = {}
    for name, column in columns.scalars.items():
        measured = np.ones(layer.size, np.bool_) if column.measured is None else column.measured
        measured = measured.copy()
        measured[rows] = False
        if measured.any():
            scalars[name] = Column(column.values, measured)
    whole = replace(columns, layers=(*columns.layers, ""), layer=layer, scalars=scalars)
    return _without_histograms(whole, rows)


@cache
def no_histograms() -> tuple[Histograms, BinaryColumn]:
    """Return the histograms of rows that have none, decoded and encoded."""
    empty = from_list([])
    return decode_joined(empty.data, empty.ends), empty


def _histograms(column: pa.ChunkedArray) -> tuple[Histograms, BinaryColumn]:
    """Return the histograms of the rows that have one, decoded and encoded."""
    array = combined(column.drop_null())
    if len(array) == 0:
        return no_histograms()
    _, offsets, data = array.buffers()
    # Read exactly len + 1 offsets: an untrusted buffer may be longer than needed.
    ends = np.frombuffer(offsets, np.int32, len(array) + 1, 4 * array.offset)
    bytes_ = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    blobs = BinaryColumn(bytes_[ends[0] : ends[-1]], ends[1:].astype(np.int64) - ends[0])
    return decode_joined(blobs.data, blobs.ends), blobs
