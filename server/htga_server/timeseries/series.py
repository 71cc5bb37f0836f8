"""Reading tracks: a track is a layer or a metric of a run on a rank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_server.runs.lookup import is_pruned
from htga_server.storage import bulk
from htga_server.storage.tables import cells, tracks
from htga_server.storage.tables import packs as packs_table
from htga_server.storage.values import numbers
from htga_server.timeseries import histogram_blocks as packs
from htga_server.timeseries import rollup as pyramid
from htga_server.timeseries.rollup import WINDOW, Cells
from htga_server.timeseries.series_key import (
    LAYERS,
    METRICS,
    Kind,
    Track,
    Tracks,
    between,
    name_id_column,
    of_tracks,
)

Ints = NDArray[np.int64]


_SPANS = sa.select(
    tracks.c.run_key, tracks.c.name_id, tracks.c.rank, tracks.c.first_step, tracks.c.last_step
).where(
    sa.tuple_(tracks.c.run_key, tracks.c.rank).in_(sa.bindparam("which", expanding=True)),
    tracks.c.kind == sa.bindparam("kind"),
)
_FIRST = (
    sa.select(tracks.c.kind, tracks.c.name_id, tracks.c.rank, tracks.c.first_step)
    .where(tracks.c.run_key == sa.bindparam("run_key"))
    .order_by(tracks.c.first_step, tracks.c.rank, tracks.c.kind, tracks.c.name_id)
    .limit(1)
)
_PACKS = sa.select(packs_table.c.step, packs_table.c.attempt, packs_table.c.data).where(
    *of_tracks(LAYERS, packs_table, packs_table.c.step)
)


@cache
def _rows(kind: Kind, keys: tuple[str, ...]) -> sa.Select[Any]:
    table, name_id = kind.table.c, name_id_column(kind.table, kind)
    return (
        sa.select(name_id, table.step, table.time, *(table[key] for key in keys))
        .where(*of_tracks(kind, kind.table, table.step))
        .order_by(name_id, table.step, table.attempt)
    )


@cache
def _cells(kind: Kind) -> sa.Select[Any]:
    table = cells.c
    return (
        sa.select(table.name_id, table.cell, table.rows, table.step, table.time, table.stats)
        .where(*of_tracks(kind, cells, table.cell), table.level == sa.bindparam("level"))
        .order_by(table.name_id, table.cell)
    )


def spans(
    connection: sa.Connection, kind: Kind, run_key: int, *, ranks: Iterable[int]
) -> dict[tuple[int, int], tuple[int, int]]:
    """The first and the last step of each track, by (name_id, rank)."""
    found = spans_of_all(connection, kind, [(run_key, rank) for rank in ranks])
    return {(name, rank): span for (_, name, rank), span in found.items()}


def spans_of_all(
    connection: sa.Connection, kind: Kind, which: Iterable[tuple[int, int]]
) -> dict[tuple[int, int, int], tuple[int, int]]:
    """`spans` of several runs, each with a rank, by (run_key, name_id, rank)."""
    rows = connection.execute(_SPANS, {"which": list(which), "kind": kind.name})
    return {(run, name, rank): (first, last) for run, name, rank, first, last in rows}


def begin(connection: sa.Connection, run_key: int) -> float:
    """The time of a run's first row; of a pruned run, that of its first few rows.

    Raises:
        ValueError: It has no row.
    """
    row = connection.execute(_FIRST, {"run_key": run_key}).first()
    if row is None:
        raise ValueError(f"run {run_key} has no row")
    kind = {"layer": LAYERS, "metric": METRICS}[row.kind]
    first = Track(kind, run_key, row.name_id, row.rank)
    _, cells = narrowest(connection, first, row.first_step, row.first_step + 1, ())
    return float(cells.time[0])


def rows_as_cells(
    connection: sa.Connection, track: Track, start: int, stop: int, keys: Sequence[str]
) -> Cells:
    """Rows of `start <= step < stop`, each a cell; of several attempts at a step the latest."""
    return rows_of_all(connection, track, start, stop, keys)[1]


def rows_of_all(
    connection: sa.Connection, track: Track | Tracks, start: int, stop: int, keys: Sequence[str]
) -> tuple[Ints, Cells]:
    """`rows_as_cells` of several tracks, one after the other, and whose (name_id) each row is."""
    rows: Sequence[Any] = connection.execute(
        _rows(track.kind, tuple(keys)), between(track, start, stop)
    ).all()
    return _latest(rows, keys)


def rows_of_stretches(
    connection: sa.Connection, kind: Kind, wanted: Sequence[tuple[Track, int, int]]
) -> list[Cells]:
    """`rows_as_cells` of stretches (track, start, stop), of whatever runs, in one statement."""
    rows: Sequence[Any] = bulk.of_stretches(
        connection,
        kind.table,
        ("run_key", kind.name_id, "rank"),
        ("step", "time", *kind.keys),
        [(t.run_key, t.name_id, t.rank, start, stop) for t, start, stop in wanted],
    )
    owner, found = _latest(rows, kind.keys)
    bounds = np.searchsorted(owner, np.arange(len(wanted) + 1)).tolist()
    return [found[begin:end] for begin, end in pairwise(bounds)]


def _latest(rows: Sequence[Any], keys: Sequence[str]) -> tuple[Ints, Cells]:
    """Rows (owner, step, time, values of `keys`) by owner, step and attempt, each step's last."""
    owner = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    step = np.fromiter((row[1] for row in rows), np.int64, len(rows))
    latest = (np.diff(owner, append=-1) | np.diff(step, append=-1)) != 0
    if not latest.all():
        rows = [rows[i] for i in np.flatnonzero(latest).tolist()]
        owner, step = owner[latest], step[latest]
    time, *values = list(zip(*rows, strict=True))[2:] or [()] * (1 + len(keys))
    measured = {key: numbers(column) for key, column in zip(keys, values, strict=True)}
    return owner, pyramid.of_rows(step, np.array(time, np.float64), measured)


def stored_cells(
    connection: sa.Connection,
    track: Track,
    level: int,
    within: tuple[int, int],
    keys: Sequence[str],
) -> Cells:
    """Cells of a level, `first <= cell < end` where (first, end) is `within`; all complete."""
    return cells_of_all(connection, track, level, within, keys)[1]


def cells_of_all(
    connection: sa.Connection,
    track: Track | Tracks,
    level: int,
    within: tuple[int, int],
    keys: Sequence[str],
) -> tuple[Ints, Cells]:
    """`stored_cells` of several tracks, one after the other, and whose (name_id) each cell is."""
    rows = connection.execute(_cells(track.kind), between(track, *within, level=level)).all()
    owner, cell, number, step, time, stats = list(zip(*rows, strict=True)) or [()] * 6
    return np.array(owner, np.int64), Cells(
        tuple(keys),
        np.array(cell, np.int64) * pyramid.FACTOR**level,
        np.array(number, np.int64),
        np.array(step, np.int64),
        np.array(time, np.float64),
        pyramid.decode(stats, tuple(keys), track.kind.keys),
    )


def read(
    connection: sa.Connection,
    track: Track,
    start: int,
    stop: int,
    *,
    last_step: int,
    level: int,
    keys: Sequence[str],
) -> Cells:
    """What `start <= step < stop` holds, in cells of `level` and below.

    Args:
        last_step: Of the track; the window that it lies in has no cells yet.
    """
    settled = last_step // WINDOW * WINDOW
    parts = [
        narrowest(connection, track, first, end, keys)
        if at == 0
        else cells_of_all(connection, track, at, (first, end), keys)
        for at, first, end in pyramid.cover(start, min(stop, settled), level)
    ]
    if stop > settled:
        parts.append(narrowest(connection, track, max(start, settled), stop, keys))
    return pyramid.concatenate(tuple(keys), [part for _, part in parts])


def narrowest(
    connection: sa.Connection, track: Track | Tracks, start: int, stop: int, keys: Sequence[str]
) -> tuple[Ints, Cells]:
    """`rows_of_all`, or where the rows were pruned the cells of the lowest level."""
    found = rows_of_all(connection, track, start, stop, keys)
    if found[0].size or start >= stop or not is_pruned(connection, track.run_key):
        return found
    within = start // pyramid.FACTOR, -(-stop // pyramid.FACTOR)
    return cells_of_all(connection, track, 1, within, keys)


def histograms(
    connection: sa.Connection, track: Track, start: int, stop: int
) -> dict[int, dict[int, bytes]]:
    """Encoded histograms of `start <= step < stop`, by step and attempt, both increasing."""
    rows = connection.execute(_PACKS, between(track, start // WINDOW * WINDOW, stop))
    found: dict[int, dict[int, bytes]] = {}
    for first, attempt, data in rows:
        for at, blob in packs.items(first, bytes(data)):
            if start <= at < stop:
                found.setdefault(at, {})[attempt] = blob
    return {step: dict(sorted(found[step].items())) for step in sorted(found)}
