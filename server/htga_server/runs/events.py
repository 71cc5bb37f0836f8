"""What happened in a run, for people to read: alerts of a script, gradients that are not finite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from htga_client.wire import Alert, Event, RunEvent
from htga_server.runs.lookup import HERE, key_of
from htga_server.runs.pagination import Order
from htga_server.storage.tables import events, runs

MAX_TEXT = 16_384
MOST = 1000
"""Events of a run that are listed, the latest."""

ALARMING = ("warning", "error")
RUNS = 100
"""Runs whose alerts are listed together, those that had news last."""

_EVENT = TypeAdapter(Event)
_SAID = [column for column in events.columns if column.name not in {"run_key", "event_id"}]


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, and the index in the request of the row that brought it."""

    row: int
    step: int
    rank: int
    layer: str
    time: float
    event: Event


def read(column: pa.ChunkedArray) -> tuple[dict[int, Event], dict[int, str]]:
    """The events of a request by row, and the reasons of those that cannot be read."""
    found: dict[int, Event] = {}
    rejected: dict[int, str] = {}
    for row in np.flatnonzero(np.asarray(column.is_valid())).tolist():
        text = column[row].as_py()
        if len(text) > MAX_TEXT or "\0" in text or "\\u0000" in text:
            rejected[row] = "event is too long or holds a NUL"
            continue
        try:
            found[row] = _EVENT.validate_json(text)
        except ValidationError:
            rejected[row] = "event cannot be read"
    return found, rejected


def of_table(table: pa.Table, rows: list[int], times: list[float]) -> list[tuple[int, Happened]]:
    """The events of checked rows, and which of the table's rows each is.

    Args:
        rows: The rows' indices in their request.
        times: When they were, all known.
    """
    if table["event"].null_count == table.num_rows:
        return []
    found, _ = read(table["event"])
    layer, rank = pc.fill_null(table["layer"], ""), pc.fill_null(table["rank"], 0)
    return [
        (
            at,
            Happened(
                row=rows[at],
                step=table["step"][at].as_py(),
                rank=rank[at].as_py(),
                layer=layer[at].as_py(),
                time=times[at],
                event=event,
            ),
        )
        for at, event in found.items()
    ]


def store_new(
    connection: sa.Connection, run_key: int, attempt: int, happened: list[Happened]
) -> list[Happened]:
    """Keep those events of a run whose row is locked that it does not have yet, and return them.

    What happened is the same where step, rank, layer, attempt, kind and title are.
    """
    steps = {one.step for one in happened}
    rows = connection.execute(
        sa.select(events.c.step, events.c.rank, events.c.layer, events.c.kind, events.c.title)
        .where(events.c.run_key == run_key, events.c.attempt == attempt)
        .where(events.c.step >= min(steps, default=0), events.c.step <= max(steps, default=0))
    )
    known = {tuple(row) for row in rows}
    new = [
        one
        for one in happened
        if (one.step, one.rank, one.layer, one.event.kind, one.event.title) not in known
    ]
    store(connection, run_key, attempt, new)
    return new


def store(connection: sa.Connection, run_key: int, attempt: int, happened: list[Happened]) -> None:
    """Keep events of a run whose row is locked."""
    if not happened:
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
                "kind": one.event.kind,
                "level": one.event.level,
                "title": one.event.title,
                "text": one.event.text,
            }
            for event_id, one in enumerate(happened, first)
        ],
    )


def listing(connection: sa.Connection, run_id: str) -> tuple[RunEvent, ...]:
    """The latest events of a run in the order of their steps.

    Raises:
        NotFound: There is no such run.
    """
    latest = connection.execute(
        sa.select(*_SAID)
        .where(events.c.run_key == key_of(connection, run_id))
        .order_by(events.c.step.desc(), events.c.event_id.desc())
        .limit(MOST)
    ).mappings()
    return tuple(RunEvent(**row) for row in reversed(latest.all()))


def alerts(connection: sa.Connection, *, project: str | None, limit: int) -> tuple[Alert, ...]:
    """The latest warnings and errors of the `RUNS` runs that had news last, the latest first."""
    latest = sa.select(runs.c.run_key).where(HERE).order_by(*Order("-updated").by).limit(RUNS)
    if project is not None:
        latest = latest.where(runs.c.project == project)
    rows = connection.execute(
        sa.select(*_SAID, runs.c.id.label("run_id"), runs.c.name.label("run_name"))
        .join(runs, runs.c.run_key == events.c.run_key)
        .where(events.c.run_key.in_(latest), events.c.level.in_(ALARMING))
        .order_by(events.c.time.desc(), events.c.run_key.desc(), events.c.event_id.desc())
        .limit(limit)
    ).mappings()
    return tuple(Alert(**row) for row in rows)
