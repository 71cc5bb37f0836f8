"""Read histograms of |gradient| over steps, with counts summed in each bucket."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.wire import Histograms
from htga_client.wire.histogram import Histograms as Decoded
from htga_client.wire.histogram import decode_all, edges
from htga_server.reads.series import Range
from htga_server.runs.lookup import key_of, name_ids
from htga_server.storage.tables import cells
from htga_server.timeseries import rollup
from htga_server.timeseries.rollup import FACTOR, WINDOW_STEPS
from htga_server.timeseries.series import step_ranges
from htga_server.timeseries.series_key import LAYERS, SeriesKey
from htga_server.timeseries.snapshot import Snapshot

SUM_LEVEL = 2
"""The lowest level of cells with histogram sums; a cell of it covers a window."""

MANY_STEPS, COARSER = 64 * WINDOW_STEPS, 3
"""From so many steps on, a third of the requested buckets suffices if more would need every single
histogram: decoding eleven thousand takes 130 ms, and their sums 4."""


class HistogramSum(NamedTuple):
    """The sum of one or more histograms.

    Attributes:
        at: The first step that it may cover.
        step: The last step that it covers.
        number: The number of histograms.
        blob: The encoded sum.
    """

    at: int
    step: int
    number: int
    blob: bytes


class Columns(NamedTuple):
    """Histograms in S buckets on common bins.

    Attributes:
        step: Step of the last histogram in each bucket, [S].
        bits: Resolution of the bins.
        low: Index of the first bin.
        counts: Counts in bins, int64 [S, B].
        n_zero, n_nonfinite: Number of the other entries, int64 [S].
        total: Number of histograms.
        cursor: Step of the last of them, or None.
    """

    step: NDArray[np.int64]
    bits: int
    low: int
    counts: NDArray[np.int64]
    n_zero: NDArray[np.int64]
    n_nonfinite: NDArray[np.int64]
    total: int
    cursor: str | None


def read(snapshot: Snapshot, run_id: str, within: Range, buckets: int, bits: int) -> Histograms:
    """Read histograms of a layer as a chart needs them, see `read_columns`."""
    found = read_columns(snapshot, run_id, within, buckets, bits)
    return Histograms(
        run_id=run_id,
        layer=within.layer,
        step=found.step.tolist(),
        edges=edges(found.bits, found.low, found.counts.shape[1]).tolist(),
        counts=found.counts.tolist(),
        n_zero=found.n_zero.tolist(),
        n_nonfinite=found.n_nonfinite.tolist(),
        total=found.total,
        cursor=found.cursor,
        damaged=tuple(snapshot.damaged),
    )


def read_columns(
    snapshot: Snapshot, run_id: str, within: Range, buckets: int, bits: int
) -> Columns:
    """Read histograms of a layer, on `2**bits` bins to an octave.

    A histogram that was sent with coarser bins sets the resolution of all.

    Raises:
        NotFound: No such run exists.
        BadRequest: The cursor is invalid.
    """
    connection = snapshot.connection
    run_key = key_of(connection, run_id)
    layer_id = name_ids(connection, run_key, "layer").get(within.layer, -1)
    key = SeriesKey(LAYERS, run_key, layer_id, within.rank)
    known = step_ranges(connection, LAYERS, [(run_key, within.rank)])
    first, last = known.get((run_key, layer_id, within.rank), (0, -1))
    start, stop = within.within(first, last)
    width, level = rollup.bucket_width(start, stop, buckets)
    if level < SUM_LEVEL and stop - start >= max(MANY_STEPS, WINDOW_STEPS * buckets / COARSER):
        width, level = WINDOW_STEPS, SUM_LEVEL
    rows_are_gone = snapshot.rows_of(run_key, LAYERS) is None
    if rows_are_gone:  # only sums of windows are left
        start, stop = start // WINDOW_STEPS * WINDOW_STEPS, -(-stop // WINDOW_STEPS) * WINDOW_STEPS
        width, level = max(width, WINDOW_STEPS), max(level, SUM_LEVEL)
    sums = _read_sums(snapshot, key, start, stop, last_step=last, level=level)
    if not rows_are_gone and sum(part.number for part in sums) <= buckets:
        width = 1
        if level:
            sums = _read_sums(snapshot, key, start, stop, last_step=last, level=0)
    return _on_buckets(sums, width, bits)


def _read_sums(
    snapshot: Snapshot, key: SeriesKey, start: int, stop: int, *, last_step: int, level: int
) -> list[HistogramSum]:
    """Read `start <= step < stop`: sums where the level has them, single histograms elsewhere."""
    closed = last_step // WINDOW_STEPS * WINDOW_STEPS
    sums: list[HistogramSum] = []
    for at, first, end in rollup.split_range(start, min(stop, closed), level):
        if at >= SUM_LEVEL:
            sums += _stored_sums(snapshot.connection, key, at, first, end)
        else:
            sums += _single_histograms(snapshot, key, first * FACTOR**at, end * FACTOR**at)
    rest = max(start, closed)
    sums += _single_histograms(snapshot, key, rest, stop)
    if snapshot.rows_of(key.run_key, LAYERS) is None and stop > closed and level >= SUM_LEVEL:
        # A pruned run has a sum of its last window, too, because no row can follow.
        sums += _stored_sums(
            snapshot.connection, key, SUM_LEVEL, rest // WINDOW_STEPS, -(-stop // WINDOW_STEPS)
        )
    return sums


def _stored_sums(
    connection: sa.Connection, key: SeriesKey, level: int, first: int, end: int
) -> list[HistogramSum]:
    rows = connection.execute(
        sa.select(cells.c.cell, cells.c.step, cells.c.histograms, cells.c.histogram)
        .where(*key.conditions(cells), cells.c.level == level, cells.c.histograms > 0)
        .where(cells.c.cell >= first, cells.c.cell < end)
        .order_by(cells.c.cell)
    )
    width = FACTOR**level
    return [
        HistogramSum(cell * width, step, number, bytes(blob)) for cell, step, number, blob in rows
    ]


def _single_histograms(
    snapshot: Snapshot, key: SeriesKey, start: int, stop: int
) -> list[HistogramSum]:
    rows = snapshot.rows_of(key.run_key, LAYERS)
    if start >= stop or rows is None:
        return []
    return [
        HistogramSum(step, step, 1, attempts[max(attempts)])
        for step, attempts in rows.histograms(key, start, stop).items()
    ]


def _on_buckets(sums: list[HistogramSum], width: int, bits: int) -> Columns:
    step = np.array([part.step for part in sums], np.int64)
    place = np.array([part.at for part in sums], np.int64) // width
    decoded = decode_all([part.blob for part in sums])
    bits = min(bits, int(decoded.bits.min(initial=bits)))
    first = np.flatnonzero(np.diff(place, prepend=place[:1] - 1))
    low, counts = _on_common_bins(decoded, bits)
    last = np.append(first[1:], step.size) - 1 if step.size else first

    def per_bucket(values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.add.reduceat(values, first, axis=0) if first.size else values

    return Columns(
        step=step[last],
        bits=bits,
        low=low,
        counts=per_bucket(counts),
        n_zero=per_bucket(decoded.n_zero),
        n_nonfinite=per_bucket(decoded.n_nonfinite),
        total=sum(part.number for part in sums),
        cursor=str(step[-1]) if step.size else None,
    )


def _on_common_bins(decoded: Decoded, bits: int) -> tuple[int, NDArray[np.int64]]:
    """Return the index of the first bin, and counts [steps, bins] on the coarser bins of `bits`."""
    size = decoded.size
    row = np.repeat(np.arange(size.size), size)
    place = np.arange(row.size) - np.repeat(np.cumsum(size) - size, size)
    fine = np.repeat(decoded.first, size) + place
    index = fine >> np.repeat(decoded.bits - bits, size)
    low = int(index.min(initial=index[0] if index.size else 0))
    counts = np.zeros((size.size, int(index.max(initial=low - 1)) - low + 1), np.int64)
    np.add.at(counts, (row, index - low), decoded.counts)
    return low, counts
