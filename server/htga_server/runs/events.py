"""Events of a run, for people to read: a script's alerts, divergence, non-finite gradients."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from htga_client.wire import Alert, Event, RunEvent
from htga_client.wire.limits import MAX_EVENT
from htga_server.runs.lookup import NOT_DELETED, key_of
from htga_server.runs.pagination import RunSort
from htga_server.storage.tables import events, runs

MAX_EVENTS = 1000
"""The latest events of a run that one answer lists."""

ALERT_LEVELS = ("warning", "error")
MAX_RUNS = 100
"""The latest runs whose alerts one answer lists."""

_EVENT = TypeAdapter(Event)
_COLUMNS = [column for column in events.columns if column.name not in {"run_key", "event_id"}]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is not stored yet, and the index of its row in the request."""

    row: int
    step: int
    rank: int
    layer: str
    time: float
    event: Event


def parse(column: pa.ChunkedArray) -> tuple[dict[int, Event], dict[int, str]]:
    """Parse a column of events: the events by row, and why the others cannot be read, by row."""
    found: dict[int, Event] = {}
    rejected: dict[int, str] = {}
    for row in np.flatnonzero(np.asarray(column.is_valid())).tolist():
        text = column[row].as_py()
        if len(text) > MAX_EVENT or "\0" in text or "\\u0000" in text:
            rejected[row] = "event is too long or holds a NUL"
            continue
        try:
            found[row] = _EVENT.validate_json(text)
        except ValidationError:
            rejected[row] = "event cannot be read"
    return found, rejected


def store_new(
    connection: sa.Connection, run_key: int, attempt: int, new_events: list[NewEvent]
) -> list[NewEvent]:
    """Store those events that a run, whose row is locked, does not have yet; return them.

    Two events are the same if step, rank, layer, attempt, kind and title are.
    """
    steps = {one.step for one in new_events}
    rows = connection.execute(
        sa.select(events.c.step, events.c.rank, events.c.layer, events.c.kind, events.c.title)
        .where(events.c.run_key == run_key, events.c.attempt == attempt)
        .where(events.c.step >= min(steps, default=0), events.c.step <= max(steps, default=0))
    )
    known = {tuple(row) for row in rows}
    new = [
        one
        for one in new_events
        if (one.step, one.rank, one.layer, one.event.kind, one.event.title) not in known
    ]
    store(connection, run_key, attempt, new)
    return new


def store(
    connection: sa.Connection, run_key: int, attempt: int, new_events: list[NewEvent]
) -> None:
    """Store events of a run whose row is locked."""
    if not new_events:
        return
    highest = sa.select(sa.func.max(events.c.event_id)).where(events.c.run_key == run_key)
    first = (connection.scalar(highest) or 0) + 1
    connection.execute(
        sa.insert(events),
        [
            {
                "run_key": run_key,
                "event_id": event_id,
                "attempt": attempt,
                "rank": one.rank,
                "layer": one.layer,
                "step": one.step,
                "time": one.time,
                **asdict(one.event),
            }
            for event_id, one in enumerate(new_events, first)
        ],
    )


def listing(connection: sa.Connection, run_id: str) -> tuple[RunEvent, ...]:
    """Return the latest events of a run in the order of their steps.

    Raises:
        NotFound: No such run exists.
    """
    latest = connection.execute(
        sa.select(*_COLUMNS)
        .where(events.c.run_key == key_of(connection, run_id))
        .order_by(events.c.step.desc(), events.c.event_id.desc())
        .limit(MAX_EVENTS)
    ).mappings()
    return tuple(RunEvent(**row) for row in reversed(latest.all()))


def alerts(connection: sa.Connection, *, project: str | None, limit: int) -> tuple[Alert, ...]:
    """Return the latest warnings and errors of the `MAX_RUNS` runs that were updated last."""
    latest = (
        sa.select(runs.c.run_key)
        .where(NOT_DELETED)
        .order_by(*RunSort("-updated").columns)
        .limit(MAX_RUNS)
    )
    if project is not None:
        latest = latest.where(runs.c.project == project)
    rows = connection.execute(
        sa.select(*_COLUMNS, runs.c.id.label("run_id"), runs.c.name.label("run_name"))
        .join(runs, runs.c.run_key == events.c.run_key)
        .where(events.c.run_key.in_(latest), events.c.level.in_(ALERT_LEVELS))
        .order_by(events.c.time.desc(), events.c.run_key.desc(), events.c.event_id.desc())
        .limit(limit)
    ).mappings()
    return tuple(Alert(**row) for row in rows)
