"""Retention: rows of old runs move to the archive. Functions of a connection.

An expired run is closed in the transaction that puts its files into the catalog, which fails if a
row has come since they were written; so no row can arrive that the archive lacks. Then its rows and
histograms are removed, some at a time. Rollups of eight steps, histogram sums of 64 steps and
events stay in the database.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import sqlalchemy as sa

from htga_server.archive import parquet
from htga_server.runs import deletion
from htga_server.runs.lookup import NOT_DELETED
from htga_server.settings import Settings
from htga_server.storage.tables import metrics, packs, runs, steps, tracks
from htga_server.timeseries.close_windows import close_last_window
from htga_server.timeseries.series_key import KINDS, SeriesKey

DAY = 24 * 3600.0


class ExpiredRun(NamedTuple):
    """A run whose rows have expired; `updated` is when rows came, or were put back, last."""

    run_key: int
    id: str
    project: str
    name: str
    rows: int
    updated: float


def expired(connection: sa.Connection, settings: Settings, now: float) -> list[ExpiredRun]:
    """Return runs without a new row for as long as their project keeps rows, oldest first.

    Rows that were put back are kept as long again.
    """
    last = sa.case((runs.c.restored > runs.c.updated, runs.c.restored), else_=runs.c.updated)
    query = sa.select(
        runs.c.run_key, runs.c.id, runs.c.project, runs.c.name, runs.c.rows, last.label("updated")
    ).where(NOT_DELETED, runs.c.pruned.is_(None), runs.c.updated.is_not(None))
    found = [ExpiredRun(*row) for row in connection.execute(query.order_by(runs.c.updated))]
    kept = {run.project: settings.days_of(run.project) for run in found}
    return [
        run for run in found if (d := kept[run.project]) is not None and run.updated < now - d * DAY
    ]


def being_pruned(connection: sa.Connection) -> dict[int, str]:
    """Return the ids, by key, of closed runs some of whose rows are still in the database."""
    query = sa.select(runs.c.run_key, runs.c.id).where(runs.c.pruning)
    return {row.run_key: row.id for row in connection.execute(query)}


def close_archived(connection: sa.Connection, written: parquet.WrittenRun) -> None:
    """Put the files of a run into the catalog, and close the run to further rows.

    Raises:
        NotFound: No such run exists.
        Conflict: It has got rows since the files were written, or is closed already.
    """
    run_id = parquet.commit_run(connection, written).run_id
    run_key = connection.scalars(sa.select(runs.c.run_key).where(runs.c.id == run_id)).one()
    own = sa.select(tracks.c.kind, tracks.c.name_id, tracks.c.rank)
    for kind, name_id, rank in connection.execute(own.where(tracks.c.run_key == run_key)).all():
        close_last_window(connection, SeriesKey(KINDS[kind], run_key, name_id, rank))
    closed = sa.update(runs).where(runs.c.run_key == run_key)
    connection.execute(closed.values(pruned=time.time(), pruning=True))


def prune(connection: sa.Connection, run_key: int, *, limit: int) -> bool:
    """Remove up to `limit` rows of a closed run; return whether none is left."""
    for table in (steps, metrics, packs):
        if deletion.delete_rows(connection, table, run_key, limit=limit):
            return False
    done = sa.update(runs).where(runs.c.run_key == run_key).values(pruning=False, bytes=0)
    connection.execute(done)
    return True
