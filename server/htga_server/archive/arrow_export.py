"""Stored rows as Arrow batches that name run, layer and key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from htga_client.wire import SCALARS
from htga_server.storage.tables import metrics, names, runs, steps
from htga_server.storage.values import to_array
from htga_server.timeseries.series import read_histograms
from htga_server.timeseries.series_key import LAYERS, SeriesKey

LABELS = tuple((name, pa.string()) for name in ("run_id", "project", "run"))
PLACE = (*LABELS, ("attempt", pa.int32()), ("rank", pa.int32()), ("step", pa.int64()))
TIME = ("time", pa.float64())
STEPS = pa.schema(
    [*PLACE, ("layer", pa.string()), TIME, *SCALARS.items(), ("histogram", pa.binary())]
)
METRICS = pa.schema([*PLACE, ("key", pa.string()), TIME, ("value", pa.float64())])
CHUNK = 20_000


def step_batches(
    connection: sa.Connection, *which: sa.ColumnElement[bool]
) -> Iterator[pa.RecordBatch]:
    """Yield the steps of runs that fulfil `which` (conditions on `tables.runs`), run by run."""
    return _batches(connection, steps, "layer", STEPS, which)


def metric_batches(
    connection: sa.Connection, *which: sa.ColumnElement[bool]
) -> Iterator[pa.RecordBatch]:
    """Yield the values of the user's metrics, likewise."""
    return _batches(connection, metrics, "metric", METRICS, which)


def _batches(
    connection: sa.Connection,
    table: sa.Table,
    kind: str,
    schema: pa.Schema,
    which: tuple[sa.ColumnElement[bool], ...],
) -> Iterator[pa.RecordBatch]:
    label: dict[str, sa.ColumnElement[Any]] = {
        "run_id": runs.c.id,
        "run": runs.c.name,
        "project": runs.c.project,
        "layer": names.c.name,
        "key": names.c.name,
    }
    columns = label | dict(table.c.items()) | {"histogram": sa.null()}
    chosen = [columns[name].label(name) for name in schema.names]
    name_id = table.c.layer_id if kind == "layer" else table.c.metric_id
    named = sa.and_(
        names.c.run_key == table.c.run_key, names.c.kind == kind, names.c.name_id == name_id
    )
    query = (
        sa.select(table.c.run_key, name_id, *chosen)
        .join_from(table, runs, runs.c.run_key == table.c.run_key)
        .join(names, named)
        .where(*which)
        .order_by(table.c.run_key, name_id, table.c.rank, table.c.step, table.c.attempt)
        .execution_options(yield_per=CHUNK)
    )
    for rows in connection.execute(query).partitions():
        values = dict(zip(schema.names, list(zip(*rows, strict=True))[2:], strict=True))
        if "histogram" in values:
            values["histogram"] = _histograms(connection, rows)
        yield pa.RecordBatch.from_arrays(
            [_array(values[field.name], field.type) for field in schema], schema=schema
        )


def _histograms(connection: sa.Connection, rows: Sequence[Any]) -> tuple[bytes | None, ...]:
    """Return the histogram of each row; rows of one layer and rank are adjacent."""
    found: list[bytes | None] = []
    for (run_key, layer_id, rank), own in groupby(rows, lambda row: (row[0], row[1], row.rank)):
        part = list(own)
        series = SeriesKey(LAYERS, run_key, layer_id, rank)
        stored = read_histograms(connection, series, part[0].step, part[-1].step + 1)
        found += [stored.get(row.step, {}).get(row.attempt) for row in part]
    return tuple(found)


def _array(column: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    if pa.types.is_floating(kind):
        values, measured = to_array(column)
        return pa.array(values, kind, mask=np.logical_not(measured))
    return pa.array(column, kind)
