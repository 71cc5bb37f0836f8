"""The columns of validated rows as numpy arrays, and the checks of their values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from htga_client.wire import SCALARS
from htga_client.wire.histogram import Histograms, decode_joined
from htga_server.ingest.arrow_columns import combined, dictionary_encode, ints, to_column
from htga_server.storage.bulk import Column
from htga_server.timeseries.histogram_blocks import BinaryColumn, from_list
from htga_server.timeseries.rollup import MAX_STEP
from htga_server.timeseries.row_batch import Ints

MAX_NAME = 1024
MAX_METRICS = 256
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
        lengths: The number of metrics of each row, [R].
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
    lengths: Ints


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
        lengths,
    )


def check_rows(columns: RowColumns) -> dict[int, str]:
    """Return by row why it cannot be stored."""
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
    bad = np.array([len(n) > MAX_NAME or "\0" in n for n in columns.layers], np.bool_)
    if bad.any():
        reject(np.flatnonzero(bad[columns.layer]), "layer is too long or holds a NUL")
    sent = np.flatnonzero(columns.has_histogram)
    reject(sent[~columns.decoded.valid], "histogram cannot be read")
    reject(np.flatnonzero(columns.lengths > MAX_METRICS), f"more than {MAX_METRICS} metrics")
    bad = np.array([not 0 < len(n) <= MAX_NAME or "\0" in n for n in columns.metrics], np.bool_)
    if bad.any():
        named = columns.owner[bad[columns.metric]]
        reject(named, "a metric's name is empty, too long or holds a NUL")
    return rejected


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
