"""Soft deletion of runs: hidden at once, purged later. Functions of a connection.

A deleted run still takes rows, so nothing is missing if it is restored. It is purged once both the
deletion and its last row are old enough.
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from htga_server.problems import NotFound
from htga_server.runs.lookup import NOT_DELETED, lock
from htga_server.storage.tables import RUN_TABLES, runs


def delete(connection: sa.Connection, run_id: str) -> None:
    """Hide a run from every list and every answer.

    Raises:
        NotFound: No such run exists, or it was deleted before.
    """
    found = sa.update(runs).where(runs.c.id == run_id, NOT_DELETED).values(deleted=time.time())
    if not connection.execute(found).rowcount:
        raise NotFound(f"no run {run_id[:40]!r}")


def restore(connection: sa.Connection, run_id: str) -> None:
    """Bring a deleted run back; a run that was not deleted stays as it is.

    Raises:
        NotFound: No such run exists (any more).
        Busy: It is being purged.
    """
    key = lock(connection, run_id).run_key
    connection.execute(sa.update(runs).where(runs.c.run_key == key).values(deleted=None))


def expire(connection: sa.Connection, before: float) -> dict[int, str]:
    """Mark runs whose time is up as being purged; return the ids of all such runs by key.

    Args:
        before: Seconds since the epoch; deletions and rows before it are old enough.
    """
    silent = sa.func.coalesce(runs.c.updated, 0.0) <= before
    connection.execute(sa.update(runs).where(runs.c.deleted <= before, silent).values(purging=True))
    found = sa.select(runs.c.run_key, runs.c.id).where(runs.c.purging)
    return {row.run_key: row.id for row in connection.execute(found)}


def purge(connection: sa.Connection, run_key: int, *, limit: int) -> bool:
    """Remove up to `limit` rows of a run, the run itself last; return whether it is gone."""
    for table in RUN_TABLES:
        if delete_rows(connection, table, run_key, limit=limit):
            return False
    connection.execute(sa.delete(runs).where(runs.c.run_key == run_key))
    return True


def delete_rows(connection: sa.Connection, table: sa.Table, run_key: int, *, limit: int) -> int:
    """Remove up to `limit` of a run's rows from a table; return their number."""
    own = table.c.run_key == run_key
    some = sa.select(*table.primary_key).where(own).limit(limit)
    key = sa.tuple_(*table.primary_key)
    return connection.execute(sa.delete(table).where(own, key.in_(some))).rowcount
