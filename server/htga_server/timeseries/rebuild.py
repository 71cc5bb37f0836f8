"""Rebuild what is derived from the rows: the range of each series, blocks and rollups."""

from __future__ import annotations

import sqlalchemy as sa

from htga_server.storage import bulk
from htga_server.storage.tables import cells, names, tracks
from htga_server.timeseries.close_windows import close_windows
from htga_server.timeseries.rollup import WINDOW_STEPS
from htga_server.timeseries.row_batch import Closing
from htga_server.timeseries.series_key import LAYERS, METRICS, SeriesKey, SeriesKind

WINDOWS_AT_ONCE = 256


def complete(connection: sa.Connection) -> None:
    """Rebuild every run that has rows but no series, as a migration leaves it."""
    known = sa.select(tracks.c.run_key).where(tracks.c.run_key == names.c.run_key)
    missing = connection.scalars(
        sa.select(names.c.run_key).distinct().where(~known.exists()).order_by(names.c.run_key)
    ).all()
    for run_key in missing:
        rebuild(connection, run_key)


def rebuild(connection: sa.Connection, run_key: int) -> None:
    """Delete what is derived from a run's rows, and derive it again."""
    for table in (cells, tracks):
        connection.execute(sa.delete(table).where(table.c.run_key == run_key))
    for kind in (LAYERS, METRICS):
        for key in _series_of_run(connection, kind, run_key):
            _rebuild_series(connection, key)


def _rebuild_series(connection: sa.Connection, key: SeriesKey) -> None:
    step, own = key.kind.table.c.step, key.conditions(key.kind.table)
    ends = sa.select(sa.func.min(step), sa.func.max(step)).where(*own)
    first, last = connection.execute(ends).one()
    bulk.upsert(connection, tracks, [(key.run_key, key.kind.name, *key[2:], first, last)])
    open_window, at = last // WINDOW_STEPS, first
    while at is not None and at // WINDOW_STEPS < open_window:
        begin = at // WINDOW_STEPS
        end = min(begin + WINDOWS_AT_ONCE, open_window)
        close_windows(connection, key.kind, [Closing(key, open_window, range(begin, end))])
        later = sa.select(sa.func.min(step)).where(*own, step >= end * WINDOW_STEPS)
        at = connection.scalar(later)


def _series_of_run(connection: sa.Connection, kind: SeriesKind, run_key: int) -> list[SeriesKey]:
    table = kind.table
    name_id = table.c[kind.name_id]
    rows = connection.execute(
        sa.select(name_id, table.c.rank).distinct().where(table.c.run_key == run_key)
    )
    return [SeriesKey(kind, run_key, name, rank) for name, rank in rows.all()]
