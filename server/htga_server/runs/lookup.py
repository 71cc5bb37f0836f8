"""From the ids and names that people know to the numbers that rows have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa

from htga_server.problems import Busy, Conflict, NotFound
from htga_server.storage.tables import names, runs

HERE = runs.c.deleted.is_(None)
"""What holds for every run that is read; one that was deleted can still be written to."""
PURGED = 0.0
"""`deleted` of a run that is being purged."""

# Statements that every request needs are built once: building one takes longer than executing it.
_LOCK = sa.select(runs).where(runs.c.id == sa.bindparam("run_id")).with_for_update()
_LOCK_ALL = (
    sa.select(runs)
    .where(runs.c.id.in_(sa.bindparam("run_ids", expanding=True)))
    .order_by(runs.c.run_key)  # all collectors in one order, so that none waits in a circle
    .with_for_update()
)
_NAMES_OF_ALL = sa.select(names.c.run_key, names.c.kind, names.c.name, names.c.name_id).where(
    names.c.run_key.in_(sa.bindparam("run_keys", expanding=True))
)
_NAMES = sa.select(names.c.name, names.c.name_id).where(
    names.c.run_key == sa.bindparam("run_key"), names.c.kind == sa.bindparam("kind")
)


def lock(connection: sa.Connection, run_id: str) -> sa.Row[Any]:
    """The row of a run, deleted or not, locked until the transaction ends.

    Raises:
        NotFound: There is no such run.
        Busy: It is being purged.
    """
    row = lock_if_there(connection, run_id)
    if row is None:
        raise NotFound(f"no run {run_id[:40]!r}")
    return row


def lock_all(connection: sa.Connection, run_ids: Sequence[str]) -> dict[str, sa.Row[Any]]:
    """The rows of runs, by id, locked until the transaction ends; without those there are not."""
    rows = connection.execute(_LOCK_ALL, {"run_ids": run_ids})
    return {row.id: row for row in rows}


def lock_open(connection: sa.Connection, run_id: str) -> sa.Row[Any]:
    """`lock`, for a run that is to be written to.

    Raises:
        NotFound: There is no such run.
        Busy: It is being purged.
        Conflict: It was pruned: what is in the archive alone does not change any more.
    """
    return checked_open(lock_if_there(connection, run_id), run_id)


def checked_open(row: sa.Row[Any] | None, run_id: str) -> sa.Row[Any]:
    """The row that was found of a run, if it can be written to; raises as `lock_open`."""
    row = _checked(row)
    if row is None:
        raise NotFound(f"no run {run_id[:40]!r}")
    if row.pruned is not None:
        raise closed(run_id)
    return row


def closed(run_id: str) -> Conflict:
    """The refusal of what would change a run whose rows were pruned."""
    words = f"run {run_id} is closed, for its rows are in the archive alone; begin another"
    return Conflict(words, slug="run-closed")


def lock_if_there(connection: sa.Connection, run_id: str) -> sa.Row[Any] | None:
    """`lock`, with None for a run that there is not."""
    return _checked(connection.execute(_LOCK, {"run_id": run_id}).one_or_none())


def _checked(row: sa.Row[Any] | None) -> sa.Row[Any] | None:
    if row is not None and row.deleted == PURGED:
        raise Busy(f"run {row.id} was deleted and is being purged")
    return row


def key_of(connection: sa.Connection, run_id: str) -> int:
    """The internal key of a run that can be read.

    Raises:
        NotFound: There is no such run.
    """
    key = connection.scalar(sa.select(runs.c.run_key).where(runs.c.id == run_id, HERE))
    if key is None:
        raise NotFound(f"no run {run_id[:40]!r}")
    return int(key)


def name_ids(
    connection: sa.Connection, run_key: int, kind: Literal["layer", "metric"]
) -> dict[str, int]:
    """The numbers of a run's layer or metric names."""
    rows = connection.execute(_NAMES, {"run_key": run_key, "kind": kind})
    return {name: name_id for name, name_id in rows}  # noqa: C416 (mypy knows no dict of rows)


def name_ids_of_all(
    connection: sa.Connection, run_keys: Sequence[int]
) -> dict[tuple[int, str], dict[str, int]]:
    """The numbers of names, by run and kind."""
    found: dict[tuple[int, str], dict[str, int]] = defaultdict(dict)
    for run_key, kind, name, name_id in connection.execute(_NAMES_OF_ALL, {"run_keys": run_keys}):
        found[run_key, kind][name] = name_id
    return found


def is_pruned(connection: sa.Connection, run_key: int) -> bool:
    """Whether a run's rows are in the archive alone."""
    pruned = sa.select(runs.c.pruned).where(runs.c.run_key == run_key)
    return connection.scalar(pruned) is not None
