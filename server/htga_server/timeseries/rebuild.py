"""Making anew what is derived from the rows: tracks, packed windows, the pyramid."""

from __future__ import annotations

import sqlalchemy as sa

from htga_server.storage.tables import cells, names, tracks
from htga_server.timeseries import append as settle
from htga_server.timeseries.series_key import LAYERS, METRICS, Kind, Track


def complete(connection: sa.Connection) -> None:
    """Derive for every run that has rows and no track, as a migration leaves them."""
    known = sa.select(tracks.c.run_key).where(tracks.c.run_key == names.c.run_key)
    missing = connection.scalars(
        sa.select(names.c.run_key).distinct().where(~known.exists()).order_by(names.c.run_key)
    ).all()
    for run_key in missing:
        rebuild(connection, run_key)


def rebuild(connection: sa.Connection, run_key: int) -> None:
    """Throw away what is derived from a run's rows, and make it again."""
    for table in (cells, tracks):
        connection.execute(sa.delete(table).where(table.c.run_key == run_key))
    for kind in (LAYERS, METRICS):
        for track in _tracks(connection, kind, run_key):
            settle.again(connection, track)


def _tracks(connection: sa.Connection, kind: Kind, run_key: int) -> list[Track]:
    table = kind.table
    name_id = table.c[kind.name_id]
    rows = connection.execute(
        sa.select(name_id, table.c.rank).distinct().where(table.c.run_key == run_key)
    )
    return [Track(kind, run_key, name, rank) for name, rank in rows.all()]
