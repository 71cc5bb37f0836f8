"""Keeping tracks, packs of histograms and the pyramid in step with the rows, as they are stored.

A window of steps is settled once a later step has come: its histograms are packed together and its
cells are written, from the batch where it holds all of the window, else from the stored rows. A
row that comes late, or a later attempt at old steps, settles its windows again. So a cell is
written about once, however small the batches are, and is always what the rows say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from htga_server.storage import bulk
from htga_server.storage.bulk import Column
from htga_server.storage.tables import cells, tracks
from htga_server.storage.tables import packs as packs_table
from htga_server.timeseries import (
    histogram_compaction as repack,
)
from htga_server.timeseries import (
    rollup as pyramid,
)
from htga_server.timeseries import (
    rollup_levels as levels,
)
from htga_server.timeseries.histogram_compaction import Sums
from htga_server.timeseries.rollup import WINDOW, Cells
from htga_server.timeseries.row_batch import Ints, Rows
from htga_server.timeseries.series import rows_as_cells, rows_of_stretches, spans, spans_of_all
from htga_server.timeseries.series_key import LAYERS, Kind, Track

CHUNK = 256
"""Windows that are settled at a time when all are."""


class Part(NamedTuple):
    """Where the rows of one track are among others, and of which attempt they are."""

    track: Track
    attempt: int
    where: slice


def add(connection: sa.Connection, kind: Kind, rows: Rows, parts: Sequence[Part]) -> Ints:
    """Store rows and everything derived from them.

    Args:
        parts: All of the rows, of each track at most once.

    Returns:
        The last step that each part's track had before, or -1.
    """
    if not parts:
        return np.zeros(0, np.int64)
    known = spans_of_all(connection, kind, {(p.track.run_key, p.track.rank) for p in parts})
    before = [known.get((p.track.run_key, p.track.name_id, p.track.rank)) for p in parts]
    reach = [(int(rows.step[p.where.start]), int(rows.step[p.where.stop - 1])) for p in parts]
    _insert(
        connection,
        kind,
        rows,
        parts,
        [span is None or first > span[1] for span, (first, _) in zip(before, reach, strict=True)],
    )
    packed: list[tuple[Any, ...]] = []
    written: list[tuple[Any, ...]] = []
    moved = []
    closing: list[tuple[Part, set[int], int]] = []
    for part, span, (first, last) in zip(parts, before, reach, strict=True):
        track = part.track
        begin, end = (min(first, span[0]), max(last, span[1])) if span else (first, last)
        moved.append((track.run_key, kind.name, track.name_id, track.rank, begin, end))
        now_open = end // WINDOW
        stored = _stored_windows(rows.step[part.where], span, now_open)
        if not stored and first // WINDOW == now_open and not rows.blobs.ends.size:
            continue  # as for most small requests
        closing.append((part, stored, now_open))
    there = _read_windows(connection, kind, closing)
    if kind is LAYERS:
        which = [(part.track, at) for part, stored, _ in closing for at in sorted(stored)]
        histograms = iter(repack.of_windows(connection, which))
    settled: list[tuple[Track, list[int], int]] = []
    for (part, stored, now_open), theirs in zip(closing, there, strict=True):
        own = rows[part.where]
        sums: Sums = {}
        if kind is LAYERS:
            sums = repack.of_batch(
                connection,
                part.track,
                own,
                attempt=part.attempt,
                stored={at: next(histograms) for at in sorted(stored)},
                now_open=now_open,
                packed=packed,
            )
        window = own.step // WINDOW
        ours = own[(window < now_open) & ~np.isin(window, list(stored))]
        whole = pyramid.of_rows(ours.step, ours.time, ours.values())
        windows = levels.lowest(part.track, [*theirs, whole], sums, written)
        settled.append((part.track, windows, now_open))
    bulk.put(connection, packs_table, packed)
    bulk.put(connection, tracks, moved)
    bulk.put(connection, cells, written)
    for track, windows, now_open in settled:
        levels.above(connection, track, windows, now_open)
    return np.array([-1 if span is None else span[1] for span in before], np.int64)


def again(connection: sa.Connection, track: Track) -> None:
    """Settle all windows of a track from its stored rows; nothing derived from them may be left."""
    step = track.kind.table.c.step
    first, last = connection.execute(
        sa.select(sa.func.min(step), sa.func.max(step)).where(*track.of(track.kind.table))
    ).one()
    now_open, windows, at = last // WINDOW, [], first
    while at is not None and at // WINDOW < now_open:
        begin = at // WINDOW
        end = min(begin + CHUNK, now_open)
        written: list[tuple[Any, ...]] = []
        packed: list[tuple[Any, ...]] = []
        sums = repack.of_stored(connection, track, range(begin, end), packed)
        rows = rows_as_cells(connection, track, begin * WINDOW, end * WINDOW, track.kind.keys)
        windows += levels.lowest(track, [rows], sums, written)
        bulk.put(connection, packs_table, packed)
        bulk.put(connection, cells, written)
        at = connection.scalar(
            sa.select(sa.func.min(step)).where(*track.of(track.kind.table), step >= end * WINDOW)
        )
    key = (track.run_key, track.kind.name, track.name_id, track.rank)
    bulk.put(connection, tracks, [(*key, first, last)])
    levels.above(connection, track, windows, now_open)


def seal(connection: sa.Connection, track: Track) -> None:
    """Settle the window that is open, too: no row will come any more."""
    last = spans(connection, track.kind, track.run_key, ranks=[track.rank])[
        track.name_id, track.rank
    ][1]
    window = last // WINDOW
    written: list[tuple[Any, ...]] = []
    packed: list[tuple[Any, ...]] = []
    sums = repack.of_stored(connection, track, range(window, window + 1), packed)
    first, stop = window * WINDOW, (window + 1) * WINDOW
    rows = rows_as_cells(connection, track, first, stop, track.kind.keys)
    levels.lowest(track, [rows], sums, written)
    bulk.put(connection, packs_table, packed)
    bulk.put(connection, cells, written)


def _insert(
    connection: sa.Connection,
    kind: Kind,
    rows: Rows,
    parts: Sequence[Part],
    fresh: Sequence[bool],
) -> None:
    """Insert the rows; those of parts that are fresh are all beyond what is stored of a track."""
    sizes = [part.where.stop - part.where.start for part in parts]
    keys = np.array([(p.track.run_key, p.track.name_id, p.attempt) for p in parts], np.int64)
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


def _read_windows(
    connection: sa.Connection, kind: Kind, closing: Sequence[tuple[Part, set[int], int]]
) -> list[list[Cells]]:
    """Of each part the rows of those windows that are stored and not open, as cells, in order."""
    stretches = [
        levels.stretches(one for one in stored if one < now_open) for _, stored, now_open in closing
    ]
    wanted = [
        (part.track, first * WINDOW, end * WINDOW)
        for (part, *_), own in zip(closing, stretches, strict=True)
        for first, end in own
    ]
    found = iter(rows_of_stretches(connection, kind, wanted))
    return [[next(found) for _ in own] for own in stretches]


def _stored_windows(step: Ints, span: tuple[int, int] | None, now_open: int) -> set[int]:
    """The windows to be settled of which the batch does not hold all rows.

    A row that is not beyond all others may be there already, in this attempt or in another, so its
    window is looked at even if it is open.
    """
    if span is None:
        return set()
    was_open = {span[1] // WINDOW} - {now_open}
    if step[0] > span[1]:
        return was_open
    return was_open | set(np.unique(step // WINDOW).tolist())
