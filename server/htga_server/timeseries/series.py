"""Read series: their ranges of steps, rows, rollups and histograms. Functions of a connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import sqlalchemy as sa

from htga_server.storage import bulk
from htga_server.storage.tables import cells, tracks
from htga_server.timeseries import rollup
from htga_server.timeseries.raw_rows import Ints, latest_of_tuples
from htga_server.timeseries.rollup import FACTOR, WINDOW_STEPS, Rollups
from htga_server.timeseries.series_key import (
    KINDS,
    OneOrMore,
    SeriesKey,
    SeriesKind,
    range_conditions,
    range_parameters,
)
from htga_server.timeseries.snapshot import Snapshot

_STEP_RANGES = sa.select(
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


@cache
def _cells(kind: SeriesKind) -> sa.Select[Any]:
    table = cells.c
    return (
        sa.select(table.name_id, table.cell, table.rows, table.step, table.time, table.stats)
        .where(*range_conditions(kind, cells, table.cell), table.level == sa.bindparam("level"))
        .order_by(table.name_id, table.cell)
    )


@cache
def _last_values(kind: SeriesKind, columns: tuple[str, ...]) -> sa.Select[Any]:
    own, later = kind.table.c, kind.table.alias("later").c
    same = [later[name] == own[name] for name in ("run_key", kind.name_id, "rank", "step")]
    replaced = sa.exists().where(*same, later.attempt > own.attempt)
    this = [own[name] == sa.bindparam(name) for name in ("run_key", "rank")]
    this.append(own[kind.name_id] == sa.bindparam("name_id"))
    return sa.select(
        *(
            sa.select(own[column])
            .where(*this, own[column].is_not(None), ~replaced)
            .order_by(own.step.desc())
            .limit(1)
            .scalar_subquery()
            .label(column)
            for column in columns
        )
    )


def last_values(
    connection: sa.Connection, key: SeriesKey, columns: Sequence[str]
) -> dict[str, float | None]:
    """Return the last measured value of each column, as `read_rows` shows it, or None."""
    if not columns:
        return {}
    parameters = {"run_key": key.run_key, "name_id": key.name_id, "rank": key.rank}
    row = connection.execute(_last_values(key.kind, tuple(columns)), parameters).one()
    return {
        column: None if value is None else float(value)  # SQLite holds the text 'NaN'
        for column, value in zip(columns, row, strict=True)
    }


def step_ranges(
    connection: sa.Connection, kind: SeriesKind, which: Iterable[tuple[int, int]]
) -> dict[tuple[int, int, int], tuple[int, int]]:
    """Return the first and last step of each series of (run_key, rank), by its key but the kind."""
    rows = connection.execute(_STEP_RANGES, {"which": list(which), "kind": kind.name})
    return {(run, name, rank): (first, last) for run, name, rank, first, last in rows}


def first_row_time(snapshot: Snapshot, run_key: int) -> float:
    """Return the time of a run's first row.

    Of a run whose archive is damaged it is the last time of the first eight steps.

    Raises:
        ValueError: The run has no row.
    """
    row = snapshot.connection.execute(_FIRST, {"run_key": run_key}).first()
    if row is None:
        raise ValueError(f"run {run_key} has no row")
    key = SeriesKey(KINDS[row.kind], run_key, row.name_id, row.rank)
    _, found = finest_cells(snapshot, key, row.first_step, row.first_step + 1, ())
    return float(found.time[0])


def read_rows_of_ranges(
    connection: sa.Connection, kind: SeriesKind, wanted: Sequence[tuple[SeriesKey, int, int]]
) -> list[Rollups]:
    """Read the rows of many ranges (key, start, stop), of any runs, in one statement."""
    rows: Sequence[Any] = bulk.select_ranges(
        connection,
        kind.table,
        ("run_key", kind.name_id, "rank"),
        ("step", "time", *kind.keys),
        [(key.run_key, key.name_id, key.rank, start, stop) for key, start, stop in wanted],
    )
    owner, found = latest_of_tuples(rows, kind.keys)
    bounds = np.searchsorted(owner, np.arange(len(wanted) + 1)).tolist()
    return [found[begin:end] for begin, end in pairwise(bounds)]


def read_cells(
    connection: sa.Connection,
    key: OneOrMore,
    level: int,
    within: tuple[int, int],
    columns: Sequence[str],
) -> tuple[Ints, Rollups]:
    """Read the cells [first, end) of a level, all of which are complete; return as `read_rows`."""
    rows = connection.execute(_cells(key.kind), range_parameters(key, *within, level=level)).all()
    owner, cell, number, step, time, stats = list(zip(*rows, strict=True)) or [()] * 6
    return np.array(owner, np.int64), Rollups(
        tuple(columns),
        np.array(cell, np.int64) * FACTOR**level,
        np.array(number, np.int64),
        np.array(step, np.int64),
        np.array(time, np.float64),
        rollup.decode(stats, tuple(columns), key.kind.keys),
    )


def read_series(
    snapshot: Snapshot,
    key: SeriesKey,
    start: int,
    stop: int,
    *,
    last_step: int,
    level: int,
    columns: Sequence[str],
) -> Rollups:
    """Read `start <= step < stop` as rollups of `level` and below.

    Args:
        last_step: The last step of the series. Its window is open, so it has no cells yet.
    """
    closed = last_step // WINDOW_STEPS * WINDOW_STEPS
    parts = [
        finest_cells(snapshot, key, first, end, columns)
        if at == 0
        else read_cells(snapshot.connection, key, at, (first, end), columns)
        for at, first, end in rollup.split_range(start, min(stop, closed), level)
    ]
    if stop > closed:
        parts.append(finest_cells(snapshot, key, max(start, closed), stop, columns))
    return rollup.concatenate(tuple(columns), [part for _, part in parts])


def finest_cells(
    snapshot: Snapshot, key: OneOrMore, start: int, stop: int, columns: Sequence[str]
) -> tuple[Ints, Rollups]:
    """Read rows, or where their file is damaged the cells of the lowest level."""
    rows = snapshot.rows_of(key.run_key, key.kind)
    if rows is not None:
        return rows.rows(key, start, stop, columns)
    within = (start // FACTOR, -(-stop // FACTOR)) if start < stop else (0, 0)
    return read_cells(snapshot.connection, key, 1, within, columns)
