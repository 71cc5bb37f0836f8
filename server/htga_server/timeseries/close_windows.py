"""Close windows: compact their histograms into blocks, and write their rollups.

A window of 64 steps closes once a later step arrives, from the batch if that holds all its rows,
otherwise from the stored rows. A row that arrives late, or a later attempt at old steps, closes its
windows again. So a rollup is written about once, however small the batches are, and always agrees
with the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from htga_server.storage import bulk
from htga_server.storage.tables import cells, packs
from htga_server.timeseries import rollup
from htga_server.timeseries.histogram_compaction import compact
from htga_server.timeseries.rollup import WINDOW_STEPS, Rollups
from htga_server.timeseries.rollup_levels import base_levels, join_ranges, upper_levels
from htga_server.timeseries.row_batch import Closing
from htga_server.timeseries.series import read_rows_of_ranges, step_ranges
from htga_server.timeseries.series_key import SeriesKey, SeriesKind


def close_windows(connection: sa.Connection, kind: SeriesKind, closings: Sequence[Closing]) -> None:
    """Bring blocks and rollups of the windows up to date, and the rollups above them."""
    blocks: list[tuple[Any, ...]] = []
    written: list[tuple[Any, ...]] = []
    closed = []
    stored = _read_rows(connection, kind, closings)
    sums = compact(connection, kind, closings, blocks)
    for closing, parts, own_sums in zip(closings, stored, sums, strict=True):
        parts.append(_rows_of_batch(closing))
        windows = base_levels(closing.key, parts, own_sums, written)
        closed.append((closing.key, windows, closing.open_window))
    bulk.upsert(connection, packs, blocks)
    bulk.upsert(connection, cells, written)
    upper_levels(connection, closed)


def close_last_window(connection: sa.Connection, key: SeriesKey) -> None:
    """Close the window that is still open, because no row can arrive any more."""
    known = step_ranges(connection, key.kind, [(key.run_key, key.rank)])
    window = known[key.run_key, key.name_id, key.rank][1] // WINDOW_STEPS
    close_windows(connection, key.kind, [Closing(key, window + 1, [window])])


def _read_rows(
    connection: sa.Connection, kind: SeriesKind, closings: Sequence[Closing]
) -> list[list[Rollups]]:
    """Return for each closing the rows of its stored windows, the open one aside, in order."""
    ranges = [join_ranges(w for w in one.stored if w < one.open_window) for one in closings]
    wanted = [
        (closing.key, first * WINDOW_STEPS, end * WINDOW_STEPS)
        for closing, own in zip(closings, ranges, strict=True)
        for first, end in own
    ]
    found = iter(read_rows_of_ranges(connection, kind, wanted))
    return [[next(found) for _ in own] for own in ranges]


def _rows_of_batch(closing: Closing) -> Rollups:
    """Return the rows of those windows that are in the batch alone."""
    batch = closing.batch
    if batch is None:
        none = np.zeros(0, np.int64)
        return rollup.of_rows(none, none.astype(np.float64), {})
    window = batch.step // WINDOW_STEPS
    keep = window < closing.open_window
    for stored in closing.stored:
        keep &= window != stored
    own = batch[keep]
    return rollup.of_rows(own.step, own.time, own.values())
