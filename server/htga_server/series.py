"""Reading scalars over steps: telemetry of a layer, and the user's metrics, on common buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.wire import SCALARS, Buckets, Series
from htga_server.buckets import Floats, reduce, starts
from htga_server.columns import numbers, optional
from htga_server.problems import BadRequest
from htga_server.runs import key_of, name_ids
from htga_server.tables import metrics, steps

MAX_BUCKETS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which rows to read: a layer (by name) on a rank, `start <= step < stop`, after a cursor.

    The cursor is the last step that the reader has.
    """

    layer: str = ""
    rank: int = 0
    start: int | None = None
    stop: int | None = None
    since: str | None = None

    def where(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """The conditions on a table with columns rank and step.

        Raises:
            BadRequest: The cursor is none of ours.
        """
        conditions = [table.c.rank == self.rank]
        if self.start is not None:
            conditions.append(table.c.step >= self.start)
        if self.stop is not None:
            conditions.append(table.c.step < self.stop)
        if self.since is not None:
            if not self.since.isdecimal() or len(self.since) > 19:
                raise BadRequest(f"since {self.since[:40]!r} is no cursor of ours")
            conditions.append(table.c.step > int(self.since))
        return conditions


def latest_attempts(rows: Sequence[Any]) -> Sequence[Any]:
    """Of rows (step, attempt, ...) in that order, those of the latest attempt of each step."""
    if not rows or rows[0].attempt == rows[-1].attempt:
        return rows
    step = np.fromiter((row.step for row in rows), np.int64, len(rows))
    return [rows[i] for i in np.flatnonzero(np.diff(step, append=step[-1] + 1)).tolist()]


def read(
    connection: sa.Connection, run_id: str, keys: Sequence[str], within: Range, buckets: int
) -> Series:
    """Values of some keys over steps; a key is a scalar of `wire.SCALARS` or a metric's name.

    Raises:
        NotFound: There is no such run.
        BadRequest: There is no such key, or the cursor is none of ours.
    """
    run_key = key_of(connection, run_id)
    scalars = [key for key in keys if key in SCALARS]
    metric_ids = name_ids(connection, run_key, "metric")
    unknown = [key for key in keys if key not in SCALARS and key not in metric_ids]
    if unknown:
        raise BadRequest(f"no key {unknown[0][:80]!r} in run {run_id}")
    tables = {}
    if scalars:
        tables.update(_scalars(connection, run_key, scalars, within))
    for key in keys:
        if key not in SCALARS:
            tables[key] = _metric(connection, run_key, metric_ids[key], within)
    return _series(run_id, within.layer, {key: tables[key] for key in keys}, buckets)


def to_arrow(series: Series) -> pa.Table:
    """A series as columns step, time and, per key, `key` (its last value), `key.mean/.min/.max`."""
    columns: dict[str, pa.Array] = {
        "step": pa.array(series.step, pa.int64()),
        "time": pa.array(series.time, pa.float64()),
    }
    for key, values in series.keys.items():
        columns[key] = pa.array(values.last, pa.float64())
        for part in ("mean", "min", "max"):
            columns[f"{key}.{part}"] = pa.array(getattr(values, part), pa.float64())
    return pa.table(columns)


@dataclass(frozen=True, slots=True)
class _Points:
    step: NDArray[np.int64]
    time: Floats
    values: Floats
    measured: NDArray[np.bool_]


def _scalars(
    connection: sa.Connection, run_key: int, keys: list[str], within: Range
) -> dict[str, _Points]:
    layer_id = name_ids(connection, run_key, "layer").get(within.layer, -1)
    rows = latest_attempts(
        connection.execute(
            sa.select(steps.c.step, steps.c.attempt, steps.c.time, *(steps.c[key] for key in keys))
            .where(steps.c.run_key == run_key, steps.c.layer_id == layer_id, *within.where(steps))
            .order_by(steps.c.step, steps.c.attempt)
        ).all()
    )
    columns = list(zip(*rows, strict=True)) or [()] * (3 + len(keys))
    step = np.array(columns[0], np.int64)
    time = np.array(columns[2], np.float64)
    return {
        key: _Points(step, time, *numbers(column))
        for key, column in zip(keys, columns[3:], strict=True)
    }


def _metric(connection: sa.Connection, run_key: int, metric_id: int, within: Range) -> _Points:
    rows = latest_attempts(
        connection.execute(
            sa.select(metrics.c.step, metrics.c.attempt, metrics.c.time, metrics.c.value)
            .where(
                metrics.c.run_key == run_key,
                metrics.c.metric_id == metric_id,
                *within.where(metrics),
            )
            .order_by(metrics.c.step, metrics.c.attempt)
        ).all()
    )
    step, _, time, value = list(zip(*rows, strict=True)) or [()] * 4
    return _Points(np.array(step, np.int64), np.array(time, np.float64), *numbers(value))


def _series(run_id: str, layer: str, points: dict[str, _Points], buckets: int) -> Series:
    """Bring all keys onto the union of their steps, then reduce each to common buckets."""
    step, where = np.unique(np.concatenate([p.step for p in points.values()]), return_inverse=True)
    time = np.full(step.size, np.nan)
    time[where] = np.concatenate([p.time for p in points.values()])
    first = starts(step, buckets)
    last = np.append(first[1:], step.size) - 1
    keys = {
        key: _bucketed(p, np.searchsorted(step, p.step), first, step.size)
        for key, p in points.items()
    }
    return Series(
        run_id=run_id,
        layer=layer,
        step=step[last].tolist() if step.size else [],
        time=time[last].tolist() if step.size else [],
        keys=keys,
        buckets=first.size,
        total=step.size,
        cursor=str(step[-1]) if step.size else None,
    )


def _bucketed(
    points: _Points, place: NDArray[np.intp], first: NDArray[np.intp], rows: int
) -> Buckets:
    """One key on the common buckets; a bucket in which it was never measured is None."""
    bucket_of = np.repeat(np.arange(first.size), np.diff(first, append=rows))
    bucket = bucket_of[place[points.measured]]
    own = np.flatnonzero(np.diff(bucket, prepend=-1))
    measured = np.zeros(first.size, np.bool_)
    measured[bucket[own]] = True
    parts = []
    for values in reduce(points.values[points.measured], own):
        full = np.full(first.size, np.nan)
        full[bucket[own]] = values
        parts.append(optional(full, measured))
    mean, low, high, last = parts
    return Buckets(mean=mean, min=low, max=high, last=last)
