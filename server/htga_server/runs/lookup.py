"""Look up the numbers that rows use for run ids and names, and lock the rows of runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa

from htga_server.problems import Busy, Conflict, NotFound
from htga_server.storage.tables import names, runs

NOT_DELETED = runs.c.deleted.is_(None)
"""Holds for every run that can be read; a deleted one can still be written to."""

# Statements that every request needs are built once, because building takes longer than executing.
_LOCK = sa.select(runs).where(runs.c.id == sa.bindparam("run_id")).with_for_update()
_LOCK_ALL = (
    sa.select(runs)
    .where(runs.c.id.in_(sa.bindparam("run_ids", expanding=True)))
    .order_by(runs.c.run_key)  # in key order, to avoid deadlocks between collectors
    .with_for_update()
)
_NAMES_OF_ALL = sa.select(names.c.run_key, names.c.kind, names.c.name, names.c.name_id).where(
    names.c.run_key.in_(sa.bindparam("run_keys", expanding=True))
)
_NAMES = sa.select(names.c.name, names.c.name_id).where(
    names.c.run_key == sa.bindparam("run_key"), names.c.kind == sa.bindparam("kind")
)


def lock(connection: sa.Connection, run_id: str) -> sa.Row[Any]:
    """Lock the row of a run, deleted or not, until the transaction ends, and return it.

    Raises:
        NotFound: No such run exists.
        Busy: It is being purged.
    """
    row = lock_or_none(connection, run_id)
    if row is None:
        raise NotFound(f"no run {run_id[:40]!r}")
    return row


def lock_all(connection: sa.Connection, run_ids: Sequence[str]) -> dict[str, sa.Row[Any]]:
    """Lock the rows of those runs that exist until the transaction ends; return them by id."""
    rows = connection.execute(_LOCK_ALL, {"run_ids": run_ids})
    return {row.id: row for row in rows}


def lock_writable(connection: sa.Connection, run_id: str) -> sa.Row[Any]:
    """Lock a run in order to write to it.

    Raises:
        NotFound: No such run exists.
        Busy: It is being purged.
        Conflict: It was pruned; a run that is in the archive alone cannot change any more.
    """
    return check_writable(lock_or_none(connection, run_id), run_id)


def check_writable(row: sa.Row[Any] | None, run_id: str) -> sa.Row[Any]:
    """Return the row of a run if it can be written to; raise as `lock_writable` otherwise."""
    row = _checked(row)
    if row is None:
        raise NotFound(f"no run {run_id[:40]!r}")
    if row.pruned is not None:
        raise pruned_conflict(run_id)
    return row


def pruned_conflict(run_id: str) -> Conflict:
    """Return the error for a write to a run whose rows were pruned."""
    words = f"run {run_id} is closed, for its rows are in the archive alone; begin another"
    return Conflict(words, slug="run-closed")


def lock_or_none(connection: sa.Connection, run_id: str) -> sa.Row[Any] | None:
    """Like `lock`, but return None for a run that does not exist."""
    return _checked(connection.execute(_LOCK, {"run_id": run_id}).one_or_none())


def _checked(row: sa.Row[Any] | None) -> sa.Row[Any] | None:
    if row is not None and row.purging:
        raise Busy(f"run {row.id} was deleted and is being purged")
    return row


def key_of(connection: sa.Connection, run_id: str) -> int:
    """Return the internal key of a run that can be read.

    Raises:
        NotFound: No such run exists.
    """
    key = connection.scalar(sa.select(runs.c.run_key).where(runs.c.id == run_id, NOT_DELETED))
    if key is None:
        raise NotFound(f"no run {run_id[:40]!r}")
    return int(key)


def name_ids(
    connection: sa.Connection, run_key: int, kind: Literal["layer", "metric"]
) -> dict[str, int]:
    """Return the numbers of a run's layer or metric names."""
    rows = connection.execute(_NAMES, {"run_key": run_key, "kind": kind})
    return {name: name_id for name, name_id in rows}  # noqa: C416 (mypy knows no dict of rows)


def name_ids_of_all(
    connection: sa.Connection, run_keys: Sequence[int]
) -> dict[tuple[int, str], dict[str, int]]:
    """Return the numbers of names, by run and kind."""
    found: dict[tuple[int, str], dict[str, int]] = defaultdict(dict)
    for run_key, kind, name, name_id in connection.execute(_NAMES_OF_ALL, {"run_keys": run_keys}):
        found[run_key, kind][name] = name_id
    return found


def is_pruned(connection: sa.Connection, run_key: int) -> bool:
    """Return whether a run's rows are in the archive alone."""
    pruned = sa.select(runs.c.pruned).where(runs.c.run_key == run_key)
    return connection.scalar(pruned) is not None
