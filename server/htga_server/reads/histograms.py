"""Reading histograms of |gradient| over steps: counts summed per bucket of steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.wire import Histograms
from htga_client.wire.histogram import Histograms as Decoded
from htga_client.wire.histogram import decode_all, edges
from htga_server.reads.series import Range
from htga_server.runs.lookup import is_pruned, key_of, name_ids
from htga_server.storage.tables import cells
from htga_server.timeseries import rollup as pyramid
from htga_server.timeseries.rollup import FACTOR, WINDOW
from htga_server.timeseries.series import histograms as stored_histograms
from htga_server.timeseries.series import spans
from htga_server.timeseries.series_key import LAYERS, Track

SUMMED = 2
"""The lowest level that knows sums of histograms, of a window each."""

MANY, COARSER = 64 * WINDOW, 3
"""From so many steps on, a third of the buckets asked for do where more would mean to decode every
histogram there is: eleven thousand take 130 ms, and their sums 4."""


class Part(NamedTuple):
    """Some histograms, added up.

    Attributes:
        at: First step that it may hold.
        step: Last step that it does.
        number: How many histograms they were.
        blob: Their sum, encoded.
    """

    at: int
    step: int
    number: int
    blob: bytes


def read(
    connection: sa.Connection, run_id: str, within: Range, buckets: int, bits: int
) -> Histograms:
    """Histograms of a layer, on bins of `2**bits` per octave.

    A histogram that was sent with coarser bins than asked for sets the resolution of all.

    Raises:
        NotFound: There is no such run.
        BadRequest: The cursor is none of ours.
    """
    run_key = key_of(connection, run_id)
    layer_id = name_ids(connection, run_key, "layer").get(within.layer, -1)
    track = Track(LAYERS, run_key, layer_id, within.rank)
    known = spans(connection, LAYERS, run_key, ranks=[within.rank])
    first, last = known.get((layer_id, within.rank), (0, -1))
    start, stop = within.within(first, last)
    width, level = pyramid.grid(start, stop, buckets)
    if level < SUMMED and stop - start >= max(MANY, WINDOW * buckets / COARSER):
        width, level = WINDOW, SUMMED
    pruned = is_pruned(connection, run_key)
    if pruned:  # sums of windows are left
        start, stop = start // WINDOW * WINDOW, -(-stop // WINDOW) * WINDOW
        width, level = max(width, WINDOW), max(level, SUMMED)
    parts = _parts(connection, track, start, stop, last_step=last, level=level)
    if not pruned and sum(part.number for part in parts) <= buckets:
        width = 1
        parts = _parts(connection, track, start, stop, last_step=last, level=0) if level else parts
    return _summed(run_id, within.layer, parts, width, bits)


def _parts(
    connection: sa.Connection, track: Track, start: int, stop: int, *, last_step: int, level: int
) -> list[Part]:
    """What `start <= step < stop` holds; only the higher levels know sums of histograms."""
    settled = last_step // WINDOW * WINDOW
    parts: list[Part] = []
    for at, first, end in pyramid.cover(start, min(stop, settled), level):
        if at >= SUMMED:
            parts += _sums(connection, track, at, first, end)
        else:
            parts += _singles(connection, track, first * FACTOR**at, end * FACTOR**at)
    rest = max(start, settled)
    parts += _singles(connection, track, rest, stop)
    if stop > settled and level >= SUMMED:
        # Of a pruned run: nothing will follow, so the last window is summed like any other.
        parts += _sums(connection, track, SUMMED, rest // WINDOW, -(-stop // WINDOW))
    return parts


def _sums(connection: sa.Connection, track: Track, level: int, first: int, end: int) -> list[Part]:
    rows = connection.execute(
        sa.select(cells.c.cell, cells.c.step, cells.c.histograms, cells.c.histogram)
        .where(*track.of(cells), cells.c.level == level, cells.c.histograms > 0)
        .where(cells.c.cell >= first, cells.c.cell < end)
        .order_by(cells.c.cell)
    )
    width = FACTOR**level
    return [Part(cell * width, step, number, bytes(blob)) for cell, step, number, blob in rows]


def _singles(connection: sa.Connection, track: Track, start: int, stop: int) -> list[Part]:
    if start >= stop:
        return []
    return [
        Part(step, step, 1, attempts[max(attempts)])
        for step, attempts in stored_histograms(connection, track, start, stop).items()
    ]


def _summed(run_id: str, layer: str, parts: list[Part], width: int, bits: int) -> Histograms:
    step = np.array([part.step for part in parts], np.int64)
    place = np.array([part.at for part in parts], np.int64) // width
    decoded = decode_all([part.blob for part in parts])
    bits = min(bits, int(decoded.bits.min(initial=bits)))
    first = np.flatnonzero(np.diff(place, prepend=place[:1] - 1))
    low, counts = _on_common_bins(decoded, bits)
    last = np.append(first[1:], step.size) - 1 if step.size else first

    def per_bucket(values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.add.reduceat(values, first, axis=0) if first.size else values

    return Histograms(
        run_id=run_id,
        layer=layer,
        step=step[last].tolist(),
        edges=edges(bits, low, counts.shape[1]).tolist(),
        counts=per_bucket(counts).tolist(),
        n_zero=per_bucket(decoded.n_zero).tolist(),
        n_nonfinite=per_bucket(decoded.n_nonfinite).tolist(),
        total=sum(part.number for part in parts),
        cursor=str(step[-1]) if step.size else None,
    )


def _on_common_bins(decoded: Decoded, bits: int) -> tuple[int, NDArray[np.int64]]:
    """Counts of shape [steps, bins] on the coarser bins of `bits`, and the first bin's index."""
    size = decoded.size
    row = np.repeat(np.arange(size.size), size)
    place = np.arange(row.size) - np.repeat(np.cumsum(size) - size, size)
    fine = np.repeat(decoded.first, size) + place
    index = fine >> np.repeat(decoded.bits - bits, size)
    low = int(index.min(initial=index[0] if index.size else 0))
    counts = np.zeros((size.size, int(index.max(initial=low - 1)) - low + 1), np.int64)
    np.add.at(counts, (row, index - low), decoded.counts)
    return low, counts
