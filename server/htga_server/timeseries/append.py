"""Append rows to series, and close the windows that their steps complete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa

from htga_server.storage import bulk
from htga_server.storage.bulk import Column
from htga_server.storage.tables import tracks
from htga_server.timeseries.close_windows import close_windows
from htga_server.timeseries.rollup import WINDOW_STEPS
from htga_server.timeseries.row_batch import Closing, Ints, Rows
from htga_server.timeseries.series import step_ranges
from htga_server.timeseries.series_key import SeriesKey, SeriesKind


class SeriesSlice(NamedTuple):
    """Where the rows of one series are in a batch, and the attempt that they belong to."""

    key: SeriesKey
    attempt: int
    where: slice


def append(
    connection: sa.Connection, kind: SeriesKind, rows: Rows, slices: Sequence[SeriesSlice]
) -> Ints:
    """Store rows and everything derived from them.

    Args:
        slices: The parts of `rows`, which cover it; each series comes at most once.

    Returns:
        The last step that each series had before, or -1.
    """
    if not slices:
        return np.zeros(0, np.int64)
    runs = {(one.key.run_key, one.key.rank) for one in slices}
    known = step_ranges(connection, kind, runs)
    before = [known.get((s.key.run_key, s.key.name_id, s.key.rank)) for s in slices]
    ends = [(int(rows.step[s.where.start]), int(rows.step[s.where.stop - 1])) for s in slices]
    fresh = [old is None or first > old[1] for old, (first, _) in zip(before, ends, strict=True)]
    _insert(connection, kind, rows, slices, fresh)
    moved = []
    closings = []
    for one, old, (first, last) in zip(slices, before, ends, strict=True):
        start, end = (min(first, old[0]), max(last, old[1])) if old else (first, last)
        moved.append((one.key.run_key, kind.name, one.key.name_id, one.key.rank, start, end))
        open_window = end // WINDOW_STEPS
        stored = _stored_windows(rows.step[one.where], old, open_window)
        # Most small batches add rows without histograms to the open window, and close nothing.
        if stored or first // WINDOW_STEPS != open_window or rows.blobs.ends.size:
            own = rows[one.where]
            closings.append(Closing(one.key, open_window, stored, own, one.attempt))
    bulk.upsert(connection, tracks, moved)
    if closings:
        close_windows(connection, kind, closings)
    return np.array([-1 if old is None else old[1] for old in before], np.int64)


def _insert(
    connection: sa.Connection,
    kind: SeriesKind,
    rows: Rows,
    slices: Sequence[SeriesSlice],
    fresh: Sequence[bool],
) -> None:
    """Insert the rows; those of fresh slices all come after the stored rows of their series."""
    sizes = [one.where.stop - one.where.start for one in slices]
    keys = np.array([(s.key.run_key, s.key.name_id, s.attempt) for s in slices], np.int64)
    keys, is_fresh = np.repeat(keys, sizes, axis=0), np.repeat(fresh, sizes)
    columns = {
        "run_key": Column(keys[:, 0]),
        kind.name_id: Column(keys[:, 1]),
        "rank": Column(rows.rank),
        "step": Column(rows.step),
        "attempt": Column(keys[:, 2]),
        "time": Column(rows.time),
        **rows.columns,
    }
    for wanted in (True, False):
        which = is_fresh == wanted
        if which.all():
            bulk.insert(connection, kind.table, columns, fresh=wanted)
        elif which.any():
            some = {name: column[which] for name, column in columns.items()}
            bulk.insert(connection, kind.table, some, fresh=wanted)


def _stored_windows(step: Ints, known: tuple[int, int] | None, open_window: int) -> list[int]:
    """Return the windows to update of which the batch does not hold all rows.

    A row that is not beyond all others may be stored already, in this attempt or another, so its
    window counts even if it is open.
    """
    if known is None:
        return []
    was_open = {known[1] // WINDOW_STEPS} - {open_window}
    if step[0] <= known[1]:
        was_open |= set(np.unique(step // WINDOW_STEPS).tolist())
    return sorted(was_open)
