"""Deleted runs: out of sight at once, gone for good a while later. Functions of a connection.

A deleted run still takes rows, so nothing is missing if it comes back; it is purged once neither
the deletion nor its last row is recent.
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from htga_server.problems import NotFound
from htga_server.runs.lookup import HERE, PURGED, lock
from htga_server.storage.tables import RUN_TABLES, runs


def delete(connection: sa.Connection, run_id: str) -> None:
    """Take a run out of every list and every answer.

    Raises:
        NotFound: There is no such run, or it was deleted before.
    """
    found = sa.update(runs).where(runs.c.id == run_id, HERE).values(deleted=time.time())
    if not connection.execute(found).rowcount:
        raise NotFound(f"no run {run_id[:40]!r}")


def restore(connection: sa.Connection, run_id: str) -> None:
    """Bring a deleted run back; one that was not deleted stays as it is.

    Raises:
        NotFound: There is no such run (any more).
        Busy: It is being purged.
    """
    key = lock(connection, run_id).run_key
    connection.execute(sa.update(runs).where(runs.c.run_key == key).values(deleted=None))


def expire(connection: sa.Connection, before: float) -> dict[int, str]:
    """The ids, by key, of the deleted runs that are to be purged now: they stay deleted.

    Args:
        before: Seconds since the epoch; what happened earlier is not recent.
    """
    silent = sa.func.coalesce(runs.c.updated, 0.0) <= before
    connection.execute(
        sa.update(runs).where(runs.c.deleted <= before, silent).values(deleted=PURGED)
    )
    found = sa.select(runs.c.run_key, runs.c.id).where(runs.c.deleted == PURGED)
    return {row.run_key: row.id for row in connection.execute(found)}


def purge(connection: sa.Connection, run_key: int, *, most: int) -> bool:
    """Remove up to `most` rows of a run, the run itself last; returns whether that is done."""
    for table in RUN_TABLES:
        if remove(connection, table, run_key, most=most):
            return False
    connection.execute(sa.delete(runs).where(runs.c.run_key == run_key))
    return True


def remove(connection: sa.Connection, table: sa.Table, run_key: int, *, most: int) -> int:
    """Remove up to `most` of a run's rows from a table; returns how many they were."""
    own = table.c.run_key == run_key
    some = sa.select(*table.primary_key).where(own).limit(most)
    key = sa.tuple_(*table.primary_key)
    return connection.execute(sa.delete(table).where(own, key.in_(some))).rowcount
