"""Stored rows as Arrow batches that name run, layer and key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from htga_client.wire import SCALARS
from htga_server.storage.tables import metrics, names, runs, steps
from htga_server.storage.values import to_array
from htga_server.timeseries.raw_rows import StoredRows
from htga_server.timeseries.series_key import LAYERS, SeriesKey

LABELS = tuple((name, pa.string()) for name in ("run_id", "project", "run"))
PLACE = (*LABELS, ("attempt", pa.int32()), ("rank", pa.int32()), ("step", pa.int64()))
TIME = ("time", pa.float64())
STEPS = pa.schema(
    [*PLACE, ("layer", pa.string()), TIME, *SCALARS.items(), ("histogram", pa.binary())]
)
METRICS = pa.schema([*PLACE, ("key", pa.string()), TIME, ("value", pa.float64())])
LATEST = pa.field("latest", pa.bool_())
CHUNK = 20_000


def step_batches(
    connection: sa.Connection,
    *which: sa.ColumnElement[bool],
    columns: Collection[str] = STEPS.names,
) -> Iterator[pa.RecordBatch]:
    """Yield steps of runs that fulfil `which`, run by run.

    Args:
        which: Conditions on `tables.runs`, `tables.steps` and, for layers, `tables.names`.
        columns: Some of `STEPS`, and "latest", whether no later attempt has the step.
    """
    return _batches(connection, steps, "layer", STEPS, columns, which)


def metric_batches(
    connection: sa.Connection,
    *which: sa.ColumnElement[bool],
    columns: Collection[str] = METRICS.names,
) -> Iterator[pa.RecordBatch]:
    """Yield the values of the user's metrics, likewise."""
    return _batches(connection, metrics, "metric", METRICS, columns, which)


def chosen(schema: pa.Schema, columns: Collection[str]) -> pa.Schema:
    """Return those fields of a schema that are wanted."""
    return pa.schema([field for field in schema if field.name in columns])


def _batches(  # noqa: PLR0917  two callers, each with all of them
    connection: sa.Connection,
    table: sa.Table,
    kind: str,
    schema: pa.Schema,
    columns: Collection[str],
    which: tuple[sa.ColumnElement[bool], ...],
) -> Iterator[pa.RecordBatch]:
    label: dict[str, sa.ColumnElement[Any]] = {
        "run_id": runs.c.id,
        "run": runs.c.name,
        "project": runs.c.project,
        "layer": names.c.name,
        "key": names.c.name,
    }
    sources = label | dict(table.c.items()) | {"histogram": sa.null(), LATEST.name: sa.null()}
    wanted = chosen(schema.append(LATEST), columns)
    name_id = table.c.layer_id if kind == "layer" else table.c.metric_id
    place = (table.c.run_key, name_id, table.c.rank, table.c.step, table.c.attempt)
    named = sa.and_(
        names.c.run_key == table.c.run_key, names.c.kind == kind, names.c.name_id == name_id
    )
    query = (
        sa.select(
            *(column.label(f"place_{at}") for at, column in enumerate(place)),
            *(sources[name].label(name) for name in wanted.names),
        )
        .join_from(table, runs, runs.c.run_key == table.c.run_key)
        .join(names, named)
        .where(*which)
        .order_by(*place)
        .execution_options(yield_per=CHUNK)
    )
    for rows, after in _with_next(connection.execute(query).partitions()):
        columns_of = list(zip(*rows, strict=True))
        values = dict(zip(wanted.names, columns_of[len(place) :], strict=True))
        if "histogram" in values:
            values["histogram"] = _histograms(connection, rows)
        if LATEST.name in values:
            values[LATEST.name] = _latest(rows, after)
        yield pa.RecordBatch.from_arrays(
            [_array(values[field.name], field.type) for field in wanted], schema=wanted
        )


def _with_next(
    parts: Iterable[Sequence[Any]],
) -> Iterator[tuple[Sequence[Any], Any]]:
    """Yield each part of the rows with the first row after it, or None after the last."""
    held: Sequence[Any] | None = None
    for part in parts:
        if held is not None:
            yield held, part[0]
        held = part
    if held is not None:
        yield held, None


def _latest(rows: Sequence[Any], after: Any) -> tuple[bool, ...]:
    """Return whether each row is the last at its step; attempts of a step follow each other."""
    steps_of = [row[:4] for row in rows]
    steps_of.append(None if after is None else after[:4])
    return tuple(one != following for one, following in pairwise(steps_of))


def _histograms(connection: sa.Connection, rows: Sequence[Any]) -> tuple[bytes | None, ...]:
    """Return the histogram of each row; rows of one layer and rank are adjacent."""
    found: list[bytes | None] = []
    for (run_key, layer_id, rank), own in groupby(rows, lambda row: row[:3]):
        part = [(row[3], row[4]) for row in own]
        series = SeriesKey(LAYERS, run_key, layer_id, rank)
        stored = StoredRows(connection).histograms(series, part[0][0], part[-1][0] + 1)
        found += [stored.get(step, {}).get(attempt) for step, attempt in part]
    return tuple(found)


def _array(column: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    if pa.types.is_floating(kind):
        values, measured = to_array(column)
        return pa.array(values, kind, mask=np.logical_not(measured))
    return pa.array(column, kind)
