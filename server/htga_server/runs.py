"""Runs in the database: register, find, list, finish, delete. Functions of a connection."""

from __future__ import annotations

import base64
import json
import time
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from htga_client.wire import Finish, Gap, Layer, NewRun, Run, RunPage, RunState
from htga_server.problems import BadRequest, Conflict, NotFound, Quota
from htga_server.settings import Settings
from htga_server.tables import RUN_TABLES, gaps, names, runs, tracks, writers


class Writer(NamedTuple):
    """What is known of a process that sends rows.

    Attributes:
        attempt: Its number in the run.
        next_seq: The sequence number expected of it next.
        batch_first, batch_digest: Of the last batch stored, for telling a repetition from a clash.
    """

    attempt: int
    next_seq: int
    batch_first: int | None
    batch_digest: bytes | None


Sort = Literal[
    "created", "-created", "updated", "-updated", "name", "-name", "last_step", "-last_step"
]
"""What a list of runs can be ordered by."""


class _Order:
    """An order of runs, and cursors into it.

    The place of a run is what it is ordered by and its key, so a page begins where the last one
    ended even if runs came or went.
    """

    def __init__(self, sort: Sort) -> None:
        self._down = sort.startswith("-")
        self._name = sort.removeprefix("-")
        column = runs.c[self._name]
        # Nothing is below everything in either database, once it is said so.
        self._nothing: Any = "" if self._name == "name" else -1
        self._value = sa.func.coalesce(column, self._nothing)
        key = runs.c.run_key
        self.by = [part.desc() if self._down else part.asc() for part in (self._value, key)]

    def cursor(self, row: sa.Row[Any]) -> str:
        """The place of a run."""
        value = getattr(row, self._name)
        place = [self._nothing if value is None else value, row.run_key]
        return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()

    def after(self, cursor: str) -> sa.ColumnElement[bool]:
        """The condition for what comes after a place.

        Raises:
            BadRequest: It is no place in this order.
        """
        try:
            value, key = json.loads(base64.b64decode(cursor, b"-_", validate=True))
            if not isinstance(value, str if self._name == "name" else int | float):
                raise TypeError  # noqa: TRY301
            if type(key) is not int or not abs(key) < 2**62 or "\0" in str(value):
                raise TypeError  # noqa: TRY301
        except (ValueError, TypeError, RecursionError):
            raise BadRequest(f"cursor {cursor[:40]!r} is none of ours") from None
        place = sa.tuple_(self._value, runs.c.run_key)
        there = sa.tuple_(sa.literal(value), sa.literal(key))
        return place < there if self._down else place > there


STALE_AFTER = 120.0
LOST_AFTER = 900.0

# Statements that every request needs are built once: building one takes longer than executing it.
_LOCK = sa.select(runs).where(runs.c.id == sa.bindparam("run_id")).with_for_update()
_WRITER = sa.select(writers).where(
    writers.c.run_key == sa.bindparam("run_key"), writers.c.writer == sa.bindparam("writer")
)
_NAMES = sa.select(names.c.name, names.c.name_id).where(
    names.c.run_key == sa.bindparam("run_key"), names.c.kind == sa.bindparam("kind")
)


def register(connection: sa.Connection, new: NewRun, limits: Settings) -> tuple[Run, bool]:
    """Store a run, or recognise it; a writer not seen before starts a new attempt.

    Returns:
        The run, and whether it was made now.

    Raises:
        Conflict: The id belongs to a run of another project, or the run exists and `resume` says
            that it must not.
        NotFound: The run does not exist and `resume` says that it must.
        Quota: The project has as many runs as it may have.
    """
    found = connection.execute(
        sa.select(runs).where(runs.c.id == new.id).with_for_update()
    ).one_or_none()
    if found is None:
        if new.resume == "must":
            raise NotFound(f"no run {new.id!r} to resume; leave resume out to begin it")
        number = connection.scalar(
            sa.select(sa.func.count()).select_from(runs).where(runs.c.project == new.project)
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
            _add_writer(connection, key, new.writer, 1)
        return get(connection, new.id), True
    if found.project != new.project:
        raise Conflict(f"run {new.id} belongs to another project than {new.project!r}")
    if new.resume == "never" and not _is_writer(connection, found.run_key, new.writer):
        raise Conflict(f"run {new.id} exists; resume it, or begin another id", slug="run-exists")
    if new.writer is not None:
        take_up(connection, found.run_key, new.writer, most=limits.writers_per_run)
    return get(connection, new.id), False


def take_up(connection: sa.Connection, run_key: int, writer: str, *, most: int) -> Writer:
    """A writer of a run.

    A writer seen for the first time takes up the run again: it gets the next attempt, and the run
    is running. The very first writer of a run that nobody has written to gets attempt 1.

    Raises:
        Quota: The run has `most` writers already.
    """
    row = connection.execute(_WRITER, {"run_key": run_key, "writer": writer}).one_or_none()
    if row is not None:
        return Writer(row.attempt, row.next_seq, row.batch_first, row.batch_digest)
    last, number = connection.execute(
        sa.select(sa.func.max(writers.c.attempt), sa.func.count()).where(
            writers.c.run_key == run_key
        )
    ).one()
    if number >= most:
        raise Quota(f"a run has at most {most} writers", limit=most, actual=number + 1)
    attempt = (last or 0) + 1
    connection.execute(
        sa.update(runs)
        .where(runs.c.run_key == run_key)
        .values(attempt=attempt, state="running", finished=None)
    )
    _add_writer(connection, run_key, writer, attempt)
    return Writer(attempt, 0, None, None)


def lock(connection: sa.Connection, run_id: str) -> sa.Row[Any]:
    """The row of a run, locked until the transaction ends.

    Raises:
        NotFound: There is no such run.
    """
    row = connection.execute(_LOCK, {"run_id": run_id}).one_or_none()
    if row is None:
        raise NotFound(f"no run {run_id[:40]!r}")
    return row


def key_of(connection: sa.Connection, run_id: str) -> int:
    """The internal key of a run.

    Raises:
        NotFound: There is no such run.
    """
    key = connection.scalar(sa.select(runs.c.run_key).where(runs.c.id == run_id))
    if key is None:
        raise NotFound(f"no run {run_id[:40]!r}")
    return int(key)


def name_ids(
    connection: sa.Connection, run_key: int, kind: Literal["layer", "metric"]
) -> dict[str, int]:
    """The numbers of a run's layer or metric names."""
    rows = connection.execute(_NAMES, {"run_key": run_key, "kind": kind})
    return {name: name_id for name, name_id in rows}  # noqa: C416 (mypy knows no dict of rows)


def get(connection: sa.Connection, run_id: str) -> Run:
    """One run.

    Raises:
        NotFound: There is no such run.
    """
    row = connection.execute(sa.select(runs).where(runs.c.id == run_id)).one_or_none()
    if row is None:
        raise NotFound(f"no run {run_id[:40]!r}")
    return _run(row, _metric_names(connection, [row.run_key]))


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
    order = _Order(sort)
    query = sa.select(runs).order_by(*order.by)
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
    return get(connection, run_id)


def declared_gaps(connection: sa.Connection, run_id: str) -> tuple[Gap, ...]:
    """What the writers of a run have lost and said so.

    Raises:
        NotFound: There is no such run.
    """
    rows = connection.execute(
        sa.select(gaps.c.writer, gaps.c.first_seq, gaps.c.end_seq)
        .where(gaps.c.run_key == key_of(connection, run_id))
        .order_by(gaps.c.writer, gaps.c.first_seq)
    )
    return tuple(Gap(writer=w, first_seq=first, end_seq=end) for w, first, end in rows)


def layers(connection: sa.Connection, run_id: str) -> tuple[Layer, ...]:
    """The layers of a run.

    Raises:
        NotFound: There is no such run.
    """
    key = key_of(connection, run_id)
    own = sa.and_(
        names.c.run_key == tracks.c.run_key,
        names.c.kind == tracks.c.kind,
        names.c.name_id == tracks.c.name_id,
    )
    rows = connection.execute(
        sa.select(names.c.name, tracks.c.rank, tracks.c.first_step, tracks.c.last_step)
        .join(names, own)
        .where(tracks.c.run_key == key, tracks.c.kind == "layer")
        .order_by(tracks.c.name_id, tracks.c.rank)
    )
    return tuple(
        Layer(name=name, rank=rank, first_step=first, last_step=last)
        for name, rank, first, last in rows
    )


def delete(connection: sa.Connection, run_id: str) -> None:
    """Remove a run and all its rows.

    Raises:
        NotFound: There is no such run.
    """
    key = lock(connection, run_id).run_key
    for table in (*RUN_TABLES, runs):
        connection.execute(sa.delete(table).where(table.c.run_key == key))


def _add_writer(connection: sa.Connection, run_key: int, writer: str, attempt: int) -> None:
    connection.execute(
        sa.insert(writers).values(run_key=run_key, writer=writer, attempt=attempt, next_seq=0)
    )


def _is_writer(connection: sa.Connection, run_key: int, writer: str | None) -> bool:
    return connection.execute(_WRITER, {"run_key": run_key, "writer": writer}).first() is not None


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
    silent = time.time() - (row.updated or row.created)
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
        low=_floats(row.low),
        high=_floats(row.high),
    )
