"""From rows of the table of runs to `wire.Run`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from htga_client.wire import Run, RunState
from htga_server.problems import NotFound
from htga_server.runs.lookup import NOT_DELETED
from htga_server.storage.tables import names, runs

STALE_AFTER = 120.0
LOST_AFTER = 900.0
_NAMES = [column.name for column in runs.columns if column.name not in {"rows", "bytes", "deleted"}]
COLUMNS: tuple[sa.Column[Any], ...] = tuple(runs.c[name] for name in _NAMES)
"""The columns that `to_run` takes, in its order."""
_CONVERTED = {"group", "tags", "metrics", "pruned"}
_SAME = [field.name for field in fields(Run) if field.name not in _CONVERTED]


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


def to_run(row: Sequence[Any], metrics: Mapping[int, tuple[str, ...]]) -> Run:
    """Return the run in a row of `COLUMNS`."""
    # A dict, because a list has a thousand rows and an attribute of a row costs ten times as much.
    found = dict(zip(_NAMES, row, strict=True))
    if found["state"] == "running":
        found["state"] = liveness(found["updated"] or found["created"], found["heartbeat"])
    for name in ("summary", "low", "high"):
        found[name] = _floats(found[name])
    return Run(
        group=found["run_group"],
        tags=tuple(found["tags"]),
        metrics=metrics.get(found["run_key"], ()),
        pruned=found["pruned"] is not None,
        **{name: found[name] for name in _SAME},
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
