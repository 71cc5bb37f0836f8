"""Which runs are so old that their rows are kept in the archive alone. Functions of a connection.

Such a run is archived, and closed in the same transaction: nothing can come that the archive does
not have. Then its rows and histograms go, bit by bit. Summaries of eight steps, histograms of 64
steps and events stay.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from htga_server.archive import parquet as archive
from htga_server.runs import deletion as trash
from htga_server.runs.lookup import HERE
from htga_server.settings import Settings
from htga_server.storage.tables import metrics, packs, runs, steps, tracks
from htga_server.timeseries import append as settle
from htga_server.timeseries.series_key import LAYERS, METRICS, Track

BEGUN = 0.0
"""`pruned` of a run some of whose rows may still be here."""
DAY = 24 * 3600.0


class Old(NamedTuple):
    """A run whose rows are due."""

    run_key: int
    id: str
    project: str
    name: str
    rows: int
    updated: float


def due(connection: sa.Connection, settings: Settings, now: float) -> list[Old]:
    """Runs without a new row for as many days as their project keeps rows, oldest first."""
    query = sa.select(
        runs.c.run_key, runs.c.id, runs.c.project, runs.c.name, runs.c.rows, runs.c.updated
    ).where(HERE, runs.c.pruned.is_(None), runs.c.updated.is_not(None))
    found = [Old(*row) for row in connection.execute(query.order_by(runs.c.updated))]
    kept = {old.project: settings.days_of(old.project) for old in found}
    return [
        old for old in found if (d := kept[old.project]) is not None and old.updated < now - d * DAY
    ]


def begun(connection: sa.Connection) -> dict[int, str]:
    """The ids, by key, of the runs some of whose rows may still be here."""
    query = sa.select(runs.c.run_key, runs.c.id).where(runs.c.pruned == BEGUN)
    return {row.run_key: row.id for row in connection.execute(query)}


def close(connection: sa.Connection, run_id: str, folder: Path) -> None:
    """Archive a run, and take no more rows of it.

    Raises:
        NotFound: There is no such run.
        Conflict: It is not over, or closed.
    """
    archive.create(connection, run_id, folder)
    run_key = connection.scalars(sa.select(runs.c.run_key).where(runs.c.id == run_id)).one()
    own = sa.select(tracks.c.kind, tracks.c.name_id, tracks.c.rank)
    kinds = {kind.name: kind for kind in (LAYERS, METRICS)}
    for kind, name_id, rank in connection.execute(own.where(tracks.c.run_key == run_key)).all():
        settle.seal(connection, Track(kinds[kind], run_key, name_id, rank))
    connection.execute(sa.update(runs).where(runs.c.run_key == run_key).values(pruned=BEGUN))


def prune(connection: sa.Connection, run_key: int, *, most: int) -> bool:
    """Remove up to `most` rows of a closed run; returns whether none is left."""
    for table in (steps, metrics, packs):
        if trash.remove(connection, table, run_key, most=most):
            return False
    done = sa.update(runs).where(runs.c.run_key == run_key).values(pruned=time.time(), bytes=0)
    connection.execute(done)
    return True
