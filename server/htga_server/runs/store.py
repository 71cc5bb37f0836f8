"""Registering, listing, changing and finishing runs. Functions of a connection."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from htga_client.wire import Finish, NewRun, RegisteredRun, Run, RunPage, RunPatch, RunState
from htga_client.wire.text import shown
from htga_server.problems import Conflict, NotFound, Quota
from htga_server.runs import writers
from htga_server.runs.filter import Candidate, keys_of, matches, parse
from htga_server.runs.lookup import NOT_DELETED, lock, lock_or_none, pruned_conflict
from htga_server.runs.pagination import RunSort, Sort
from htga_server.runs.serialize import COLUMNS, get, get_any, metric_names, state_of, to_run
from htga_server.settings import Settings
from htga_server.storage.tables import runs

MAX_PAGE_BYTES = 8 * 2**20
"""Bytes of the configs of one page of runs; a page beyond it has fewer runs than were asked for."""
_LISTED = tuple(
    sa.literal({}, sa.JSON).label(column.name) if column is runs.c.environment else column
    for column in COLUMNS
)
_SIZE = sa.func.length(sa.cast(runs.c.config, sa.Text)).label("size")
_SEARCHED = (
    *(runs.c[name] for name in ("run_key", "id", "project", "name", "run_group", "tags", "notes")),
    *(runs.c[name] for name in ("state", "created", "updated", "heartbeat")),
    *(runs.c[name] for name in ("archived", "last_step")),
    # As text: most runs are told apart without decoding them.
    sa.cast(runs.c.config, sa.Text).label("config"),
    sa.cast(runs.c.summary, sa.Text).label("summary"),
)


def register(
    connection: sa.Connection,
    new: NewRun,
    limits: Settings,
    changes: Sequence[str] = (),
    *,
    only: str | None = None,
) -> tuple[Run, bool]:
    """Create a run, or find it if it exists; a new writer of a new start begins a new attempt.

    A run that exists keeps its project, name, group, tags and notes.

    Args:
        only: The project that a run must belong to to be found; None for any.
        changes: What the answer says of parts of the registration that could not be stored.

    Returns:
        The run, and whether it was created now.

    Raises:
        Conflict: The run is of another project than `only`, or it exists and `resume` is "never",
            or it was pruned.
        NotFound: The run does not exist and `resume` is "must".
        Quota: The project has as many runs as it may have.
        Busy: A run of this id was deleted and is being purged.
    """
    found = lock_or_none(connection, new.id)
    if found is None:
        _create(connection, new, limits)
        return _registered(get_any(connection, new.id), changes), True
    if only not in {None, found.project}:
        raise Conflict(f"run {new.id} belongs to another project than {new.project!r}")
    if not writers.belongs(connection, found.run_key, new.writer, new.start):
        if new.resume == "never":
            words = f"run {new.id} exists; resume it, or begin another id"
            raise Conflict(words, slug="run-exists")
        if new.writer is not None and found.pruned is not None:
            raise pruned_conflict(new.id)
        changes = (*changes, *_kept(get_any(connection, new.id), new))
    if new.writer is not None:
        limit = limits.writers_per_run
        own = (found.run_key, new.writer, new.start)
        if writers.get_or_add(connection, *own, limit=limit) is None:
            changes = (*changes, writers.no_more(limit))
    return _registered(get_any(connection, new.id), changes), False


def page(
    connection: sa.Connection,
    *,
    ids: Collection[str] | None = None,
    project: str | None = None,
    state: RunState | None = None,
    group: str | None = None,
    tag: str | None = None,
    q: str | None = None,
    sort: Sort = "-created",
    cursor: str | None = None,
    limit: int = 100,
    count: bool = False,
) -> RunPage:
    """One page of runs in an order, each with an empty environment, which may be long.

    Args:
        ids: Only runs with one of these ids.
        q: A search in the language of `filter`.
        sort: The key to order by, with a minus for the greatest first; runs without it come last.
        cursor: `RunPage.next` of the page before, in the same order.
        count: Whether the first page says how many runs there are over all pages.

    Raises:
        BadRequest: The cursor is invalid.
    """
    order = RunSort(sort)
    where: list[sa.ColumnElement[bool]] = [NOT_DELETED]
    if ids is not None:
        where.append(runs.c.id.in_(ids))
    if project is not None:
        where.append(runs.c.project == project)
    if group is not None:
        where.append(runs.c.run_group == group)
    after = [] if cursor is None else [order.after(cursor)]
    count = count and cursor is None
    query = sa.select(*_LISTED, _SIZE).order_by(*order.columns)
    terms = parse(q or "")
    unknown = keys_of(terms) if ids is None and cursor is None else set()
    total: int | None = 0
    if terms or state is not None or tag is not None:
        # State depends on the clock, tags and settings are JSON: Python compares them, run by run,
        # until the page is full, or to the last run for the total and for unknown names.
        keys: list[int] = []
        searched = sa.select(*_SEARCHED).where(*where, *after).order_by(*order.columns)
        for key, run in _candidates(connection, searched):
            unknown -= {name for name in unknown if run.values(name)}
            has_label = (tag is None or tag in run.tags) and (state is None or run.state == state)
            if has_label and matches(terms, run):
                keys.append(key)
            if len(keys) > limit and not count and not unknown:
                break
        total = len(keys)
        query = query.where(runs.c.run_key.in_(keys[: limit + 1]))
    else:
        query = query.where(*where, *after).limit(limit + 1)
        if count:
            total = connection.scalar(sa.select(sa.func.count()).select_from(runs).where(*where))
    shown, is_last = _first(connection, query, limit)
    known = metric_names(connection, [row.run_key for row in shown])
    return RunPage(
        items=tuple(to_run(row[:-1], known) for row in shown),
        next=None if is_last else order.cursor(shown[-1]),
        total=total if count else None,
        unknown=tuple(sorted(unknown)),
    )


def finish(connection: sa.Connection, run_id: str, how: Finish) -> Run:
    """Mark a run as ended; doing so twice changes nothing.

    Raises:
        NotFound: No such run exists.
    """
    row = lock(connection, run_id)
    if row.state != how.state:
        connection.execute(
            sa.update(runs)
            .where(runs.c.run_key == row.run_key)
            .values(state=how.state, finished=time.time())
        )
    return get_any(connection, run_id)


def change(connection: sa.Connection, run_id: str, patch: RunPatch) -> Run:
    """Change a run's name, group, tags or notes.

    Raises:
        NotFound: No such run exists.
    """
    given = {
        "name": patch.name,
        "run_group": patch.group,
        "tags": None if patch.tags is None else list(patch.tags),
        "notes": patch.notes,
    }
    values = {column: value for column, value in given.items() if value is not None}
    if values:
        connection.execute(sa.update(runs).where(runs.c.id == run_id, NOT_DELETED).values(values))
    return get(connection, run_id)


def record_heartbeat(connection: sa.Connection, run_id: str) -> tuple[Run, bool]:
    """Store the time of a heartbeat.

    Returns:
        The run, and whether it had been stale or lost before.

    Raises:
        NotFound: No such run exists.
    """
    before = state_of(lock(connection, run_id))
    connection.execute(sa.update(runs).where(runs.c.id == run_id).values(heartbeat=time.time()))
    return get_any(connection, run_id), before in {"stale", "lost"}


def _kept(stored: Run, new: NewRun) -> Iterator[str]:
    """Yield a sentence for each label of a run that exists which a registration would change."""
    for what in ("project", "name", "group", "tags", "notes"):
        own, given = getattr(stored, what), getattr(new, what)
        if given and given != own and what not in new.defaults:
            yield (
                f"its {what} stays {shown(own)} and does not become {shown(given)}: a run that is "
                "continued keeps what it has, until it is changed on its page"
            )


def _registered(run: Run, changes: Sequence[str]) -> Run:
    if not changes:
        return run
    values = {field.name: getattr(run, field.name) for field in fields(run)}
    return RegisteredRun(**values, changes=tuple(changes))


def _candidates(
    connection: sa.Connection, searched: sa.Select[Any]
) -> Iterator[tuple[int, Candidate]]:
    """Yield the key of each run of `searched`, and what the filter may compare."""
    with connection.execute(searched.execution_options(yield_per=1000)) as rows:
        for row in rows:
            yield (
                row.run_key,
                Candidate(
                    id=row.id,
                    notes=row.notes,
                    name=row.name,
                    project=row.project,
                    state=state_of(row),
                    group=row.run_group,
                    tags=row.tags,
                    step=row.last_step,
                    archived=row.archived,
                    config=row.config,
                    summary=row.summary,
                ),
            )


def _first(
    connection: sa.Connection, query: sa.Select[Any], limit: int
) -> tuple[list[sa.Row[Any]], bool]:
    """Return the first `limit` rows, or fewer large ones, and whether there are no others."""
    found: list[sa.Row[Any]] = []
    size = 0
    with connection.execute(query.execution_options(yield_per=100)) as rows:
        for row in rows:
            size += row.size
            if len(found) == limit or (found and size > MAX_PAGE_BYTES):
                return found, False
            found.append(row)
    return found, True


def _create(connection: sa.Connection, new: NewRun, limits: Settings) -> None:
    if new.resume == "must":
        raise NotFound(f"no run {new.id!r} to resume; leave resume out to begin it")
    number = connection.scalar(
        sa.select(sa.func.count())
        .select_from(runs)
        .where(runs.c.project == new.project, NOT_DELETED)
    )
    if (number or 0) >= limits.runs_per_project:
        limit = limits.runs_per_project
        raise Quota(f"project {new.project!r} has {limit} runs; delete some", limit=limit)
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
        writers.add(connection, key, new.writer, 1, new.start)
