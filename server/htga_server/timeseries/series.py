"""Read series: their ranges of steps, rows, rollups and histograms. Functions of a connection."""

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
from htga_server.storage.tables import cells, packs, tracks
from htga_server.storage.values import to_array
from htga_server.timeseries import rollup
from htga_server.timeseries.histogram_blocks import decode_items
from htga_server.timeseries.rollup import FACTOR, WINDOW_STEPS, Rollups
from htga_server.timeseries.series_key import (
    KINDS,
    LAYERS,
    OneOrMore,
    SeriesKey,
    SeriesKind,
    name_id_column,
    range_conditions,
    range_parameters,
)

Ints = NDArray[np.int64]

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
_BLOCKS = sa.select(packs.c.step, packs.c.attempt, packs.c.data).where(
    *range_conditions(LAYERS, packs, packs.c.step)
)


@cache
def _rows(kind: SeriesKind, keys: tuple[str, ...]) -> sa.Select[Any]:
    table, name_id = kind.table.c, name_id_column(kind.table, kind)
    return (
        sa.select(name_id, table.step, table.time, *(table[key] for key in keys))
        .where(*range_conditions(kind, kind.table, table.step))
        .order_by(name_id, table.step, table.attempt)
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


def first_row_time(connection: sa.Connection, run_key: int) -> float:
    """Return the time of a run's first row; of a pruned run, the last of its first eight steps.

    Raises:
        ValueError: The run has no row.
    """
    row = connection.execute(_FIRST, {"run_key": run_key}).first()
    if row is None:
        raise ValueError(f"run {run_key} has no row")
    key = SeriesKey(KINDS[row.kind], run_key, row.name_id, row.rank)
    _, found = finest_cells(connection, key, row.first_step, row.first_step + 1, ())
    return float(found.time[0])


def read_rows(
    connection: sa.Connection, key: OneOrMore, start: int, stop: int, columns: Sequence[str]
) -> tuple[Ints, Rollups]:
    """Read the rows of `start <= step < stop`, each as a rollup of one step.

    Of several attempts at a step only the latest counts.

    Returns:
        The name_id that each row belongs to, and the rows, series after series.
    """
    rows: Sequence[Any] = connection.execute(
        _rows(key.kind, tuple(columns)), range_parameters(key, start, stop)
    ).all()
    return _latest(rows, columns)


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
    owner, found = _latest(rows, kind.keys)
    bounds = np.searchsorted(owner, np.arange(len(wanted) + 1)).tolist()
    return [found[begin:end] for begin, end in pairwise(bounds)]


def _latest(rows: Sequence[Any], columns: Sequence[str]) -> tuple[Ints, Rollups]:
    """Keep the latest attempt of rows (owner, step, time, *columns), sorted by attempt last."""
    owner = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    step = np.fromiter((row[1] for row in rows), np.int64, len(rows))
    latest = (np.diff(owner, append=-1) | np.diff(step, append=-1)) != 0
    if not latest.all():
        rows = [rows[i] for i in np.flatnonzero(latest).tolist()]
        owner, step = owner[latest], step[latest]
    time, *values = list(zip(*rows, strict=True))[2:] or [()] * (1 + len(columns))
    measured = {key: to_array(column) for key, column in zip(columns, values, strict=True)}
    return owner, rollup.of_rows(step, np.array(time, np.float64), measured)


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
    connection: sa.Connection,
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
        finest_cells(connection, key, first, end, columns)
        if at == 0
        else read_cells(connection, key, at, (first, end), columns)
        for at, first, end in rollup.split_range(start, min(stop, closed), level)
    ]
    if stop > closed:
        parts.append(finest_cells(connection, key, max(start, closed), stop, columns))
    return rollup.concatenate(tuple(columns), [part for _, part in parts])


def finest_cells(
    connection: sa.Connection, key: OneOrMore, start: int, stop: int, columns: Sequence[str]
) -> tuple[Ints, Rollups]:
    """Read rows, or of a pruned run the cells of the lowest level; return as `read_rows`."""
    found = read_rows(connection, key, start, stop, columns)
    if found[0].size or start >= stop or not is_pruned(connection, key.run_key):
        return found
    within = start // FACTOR, -(-stop // FACTOR)
    return read_cells(connection, key, 1, within, columns)


def read_histograms(
    connection: sa.Connection, key: SeriesKey, start: int, stop: int
) -> dict[int, dict[int, bytes]]:
    """Read encoded histograms of `start <= step < stop`, by step and attempt, both increasing."""
    within = range_parameters(key, start // WINDOW_STEPS * WINDOW_STEPS, stop)
    found: dict[int, dict[int, bytes]] = {}
    for first, attempt, data in connection.execute(_BLOCKS, within):
        for at, blob in decode_items(first, bytes(data)):
            if start <= at < stop:
                found.setdefault(at, {})[attempt] = blob
    return {step: dict(sorted(found[step].items())) for step in sorted(found)}
