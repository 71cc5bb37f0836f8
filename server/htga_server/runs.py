"""Runs in the database: register, find, list, change, finish. Functions of a connection."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import sqlalchemy as sa

from htga_client.wire import Finish, NewRun, Run, RunPage, RunPatch, RunState
from htga_server import writers
from htga_server.keys import HERE, closed, lock, lock_if_there
from htga_server.order import Order, Sort
from htga_server.problems import Conflict, NotFound, Quota
from htga_server.settings import Settings
from htga_server.tables import names, runs

STALE_AFTER = 120.0
LOST_AFTER = 900.0


def register(connection: sa.Connection, new: NewRun, limits: Settings) -> tuple[Run, bool]:
    """Store a run, or recognise it; a writer not seen before starts a new attempt.

    Returns:
        The run, and whether it was made now.

    Raises:
        Conflict: The id belongs to a run of another project, or the run exists and `resume` says
            that it must not, or it was pruned.
        NotFound: The run does not exist and `resume` says that it must.
        Quota: The project has as many runs as it may have.
        Busy: A run of this id was deleted and is being purged.
    """
    found = lock_if_there(connection, new.id)
    if found is None:
        _begin(connection, new, limits)
        return _found(connection, new.id), True
    if found.project != new.project:
        raise Conflict(f"run {new.id} belongs to another project than {new.project!r}")
    if new.resume == "never" and not writers.is_known(connection, found.run_key, new.writer):
        raise Conflict(f"run {new.id} exists; resume it, or begin another id", slug="run-exists")
    if new.writer is not None:
        if found.pruned is not None and not writers.is_known(connection, found.run_key, new.writer):
            raise closed(new.id)
        writers.take_up(connection, found.run_key, new.writer, most=limits.writers_per_run)
    return _found(connection, new.id), False


def get(connection: sa.Connection, run_id: str) -> Run:
    """One run.

    Raises:
        NotFound: There is no such run.
    """
    return _found(connection, run_id, HERE)


def page(
    connection: sa.Connection,
    *,
    project: str | None = None,
    state: RunState | None = None,
    group: str | None = None,
    tag: str | None = None,
    q: str | None = None,
    sort: Sort = "-created",
    cursor: str | None = None,
    limit: int = 100,
) -> RunPage:
    """Runs in an order.

    Args:
        q: Text that the name, the project or the notes must hold, in any case.
        sort: What they are ordered by, a minus for the greatest first; those without come last.
        cursor: `RunPage.next` of the page before, of the same order.

    Raises:
        BadRequest: The cursor is none of ours.
    """
    order = Order(sort)
    query = sa.select(runs).where(HERE).order_by(*order.by)
    if project is not None:
        query = query.where(runs.c.project == project)
    if group is not None:
        query = query.where(runs.c.run_group == group)
    if q:
        text = [runs.c.name, runs.c.project, runs.c.notes]
        query = query.where(sa.or_(*(column.icontains(q, autoescape=True) for column in text)))
    if cursor is not None:
        query = query.where(order.after(cursor))
    # State depends on the clock and tags live in JSON: both are filtered here, so read on until
    # the page is full.
    found: list[sa.Row[Any]] = []
    for row in connection.execute(query).yield_per(limit + 1):
        if tag is not None and tag not in row.tags:
            continue
        if state is not None and _state(row) != state:
            continue
        found.append(row)
        if len(found) > limit:
            break
    more = len(found) > limit
    found = found[:limit]
    known = _metric_names(connection, [row.run_key for row in found])
    return RunPage(
        items=tuple(_run(row, known) for row in found),
        next=order.cursor(found[-1]) if more else None,
    )


class Census(NamedTuple):
    """How many runs there are, how many of them are alive, their rows, and when the last came."""

    runs: int
    running: int
    rows: int
    updated: float | None


def census(connection: sa.Connection, project: str | None = None) -> Census:
    """Count the runs of a project, or all."""
    silent_since = time.time() - STALE_AFTER
    heard = sa.or_(
        sa.func.coalesce(runs.c.updated, runs.c.created) >= silent_since,
        runs.c.heartbeat >= silent_since,
    )
    alive = sa.case((sa.and_(runs.c.state == "running", heard), 1), else_=0)
    count, rows = sa.func.count(), sa.func.coalesce(sa.func.sum(runs.c.rows), 0)
    running = sa.func.coalesce(sa.func.sum(alive), 0)
    query = sa.select(count, running, rows, sa.func.max(runs.c.updated)).where(HERE)
    if project is not None:
        query = query.where(runs.c.project == project)
    number, running_now, sent, updated = connection.execute(query).one()
    return Census(number, int(running_now), int(sent), updated)


def finish(connection: sa.Connection, run_id: str, how: Finish) -> Run:
    """Mark a run as ended; doing it twice changes nothing.

    Raises:
        NotFound: There is no such run.
    """
    row = lock(connection, run_id)
    if row.state != how.state:
        connection.execute(
            sa.update(runs)
            .where(runs.c.run_key == row.run_key)
            .values(state=how.state, finished=time.time())
        )
    return _found(connection, run_id)


def change(connection: sa.Connection, run_id: str, patch: RunPatch) -> Run:
    """Change what people call a run and say of it.

    Raises:
        NotFound: There is no such run.
    """
    said = {
        "name": patch.name,
        "run_group": patch.group,
        "tags": None if patch.tags is None else list(patch.tags),
        "notes": patch.notes,
    }
    values = {column: value for column, value in said.items() if value is not None}
    if values:
        connection.execute(sa.update(runs).where(runs.c.id == run_id, HERE).values(values))
    return get(connection, run_id)


def keep_alive(connection: sa.Connection, run_id: str) -> tuple[Run, bool]:
    """Note that a run is alive although it sends no rows.

    Returns:
        The run, and whether it had been silent for so long that it was stale or lost.

    Raises:
        NotFound: There is no such run.
    """
    before = _state(lock(connection, run_id))
    connection.execute(sa.update(runs).where(runs.c.id == run_id).values(heartbeat=time.time()))
    return _found(connection, run_id), before in {"stale", "lost"}


def _begin(connection: sa.Connection, new: NewRun, limits: Settings) -> None:
    if new.resume == "must":
        raise NotFound(f"no run {new.id!r} to resume; leave resume out to begin it")
    number = connection.scalar(
        sa.select(sa.func.count()).select_from(runs).where(runs.c.project == new.project, HERE)
    )
    if (number or 0) >= limits.runs_per_project:
        most = limits.runs_per_project
        raise Quota(f"project {new.project!r} has {most} runs; delete some", limit=most)
    key = connection.scalars(
        sa.insert(runs)
        .values(
            id=new.id,
            project=new.project,
            name=new.name,
            run_group=new.group,
            tags=list(new.tags),
            config=new.config,
            notes=new.notes,
            environment=new.environment,
            state="running",
            attempt=1,
            created=time.time(),
            archived=False,
            summary={},
        )
        .returning(runs.c.run_key)
    ).one()
    if new.writer is not None:
        writers.begin(connection, key, new.writer, 1)


def _found(connection: sa.Connection, run_id: str, *which: sa.ColumnElement[bool]) -> Run:
    row = connection.execute(sa.select(runs).where(runs.c.id == run_id, *which)).one_or_none()
    if row is None:
        raise NotFound(f"no run {run_id[:40]!r}")
    return _run(row, _metric_names(connection, [row.run_key]))


def _metric_names(connection: sa.Connection, keys: list[int]) -> dict[int, tuple[str, ...]]:
    rows = connection.execute(
        sa.select(names.c.run_key, names.c.name)
        .where(names.c.run_key.in_(keys), names.c.kind == "metric")
        .order_by(names.c.name)
    )
    found: dict[int, list[str]] = {}
    for key, name in rows:
        found.setdefault(key, []).append(name)
    return {key: tuple(own) for key, own in found.items()}


def _floats(values: dict[str, float | str]) -> dict[str, float]:
    if str not in map(type, values.values()):
        return values  # type: ignore[return-value]  # JSON gives nothing but numbers and strings
    return {key: float(value) for key, value in values.items()}


def _state(row: sa.Row[Any]) -> RunState:
    if row.state != "running":
        return row.state  # type: ignore[no-any-return] # the column holds nothing else
    silent = time.time() - max(row.updated or row.created, row.heartbeat or 0.0)
    return "lost" if silent > LOST_AFTER else "stale" if silent > STALE_AFTER else "running"


def _run(row: sa.Row[Any], known: dict[int, tuple[str, ...]]) -> Run:
    return Run(
        id=row.id,
        project=row.project,
        name=row.name,
        state=_state(row),
        group=row.run_group,
        tags=tuple(row.tags),
        config=row.config,
        notes=row.notes,
        environment=row.environment,
        attempt=row.attempt,
        created=row.created,
        updated=row.updated,
        finished=row.finished,
        archived=row.archived,
        last_step=row.last_step,
        summary=_floats(row.summary),
        metrics=known.get(row.run_key, ()),
        pruned=row.pruned is not None,
        low=_floats(row.low),
        high=_floats(row.high),
    )
