"""From rows of the table of runs to `wire.Run`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from htga_client.wire import Run, RunState
from htga_server.problems import NotFound
from htga_server.runs.lookup import NOT_DELETED
from htga_server.storage.tables import names, runs

STALE_AFTER = 120.0
LOST_AFTER = 900.0
COLUMNS: tuple[sa.Column[Any], ...] = (
    runs.c.run_key,
    runs.c.id,
    runs.c.project,
    runs.c.name,
    runs.c.run_group,
    runs.c.tags,
    runs.c.config,
    runs.c.notes,
    runs.c.environment,
    runs.c.state,
    runs.c.attempt,
    runs.c.created,
    runs.c.updated,
    runs.c.finished,
    runs.c.heartbeat,
    runs.c.archived,
    runs.c.last_step,
    runs.c.summary,
    runs.c.pruned,
    runs.c.low,
    runs.c.high,
)
"""The columns that `to_run` takes, in its order."""


def get_any(connection: sa.Connection, run_id: str, *which: sa.ColumnElement[bool]) -> Run:
    """Return one run, deleted or not.

    Raises:
        NotFound: No such run exists, or it does not fulfil `which`.
    """
    query = sa.select(*COLUMNS).where(runs.c.id == run_id, *which)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"no run {run_id[:40]!r}")
    return to_run(row, metric_names(connection, [row.run_key]))


def get(connection: sa.Connection, run_id: str) -> Run:
    """Return one run that was not deleted; raise as `get_any`."""
    return get_any(connection, run_id, NOT_DELETED)


def metric_names(connection: sa.Connection, keys: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Return the names of runs' metrics, by run."""
    rows = connection.execute(
        sa.select(names.c.run_key, names.c.name)
        .where(names.c.run_key.in_(keys), names.c.kind == "metric")
        .order_by(names.c.name)
    )
    found: dict[int, list[str]] = {}
    for key, name in rows:
        found.setdefault(key, []).append(name)
    return {key: tuple(own) for key, own in found.items()}


def to_run(row: sa.Row[Any], metrics: Mapping[int, tuple[str, ...]]) -> Run:
    """Return the run in a row of `COLUMNS`."""
    # Unpacked, because a list has a thousand rows and an attribute costs ten times as much.
    (
        run_key,
        run_id,
        project,
        name,
        group,
        tags,
        config,
        notes,
        environment,
        state,
        attempt,
        created,
        updated,
        finished,
        heartbeat,
        archived,
        last_step,
        summary,
        pruned,
        low,
        high,
    ) = tuple(row)
    return Run(
        id=run_id,
        project=project,
        name=name,
        state=state if state != "running" else liveness(updated or created, heartbeat),
        group=group,
        tags=tuple(tags),
        config=config,
        notes=notes,
        environment=environment,
        attempt=attempt,
        created=created,
        updated=updated,
        finished=finished,
        archived=archived,
        last_step=last_step,
        summary=_floats(summary),
        metrics=metrics.get(run_key, ()),
        pruned=pruned is not None,
        low=_floats(low),
        high=_floats(high),
    )


def state_of(row: sa.Row[Any]) -> RunState:
    """Return the state of a run from its row."""
    if row.state != "running":
        return row.state  # type: ignore[no-any-return] # the column holds nothing else
    return liveness(row.updated or row.created, row.heartbeat)


def liveness(last_row: float, heartbeat: float | None) -> RunState:
    """Return how alive a run is that has not ended."""
    silent = time.time() - max(last_row, heartbeat or 0.0)
    return "lost" if silent > LOST_AFTER else "stale" if silent > STALE_AFTER else "running"


def _floats(values: dict[str, float | str]) -> dict[str, float]:
    if str not in map(type, values.values()):
        return values  # type: ignore[return-value]  # JSON gives nothing but numbers and strings
    return {key: float(value) for key, value in values.items()}
