"""Rows of telemetry as one Arrow IPC stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from htga_client import wire

Row = Mapping[str, Any]
"""The fields of `wire.ROWS` by name; all but `step` may be missing, `metrics` is a mapping."""

_DEFAULTS = {"layer": "", "rank": 0}


def metric_key(name: str) -> str:
    """The name under which a user's metric is stored.

    A metric called like something that the probe measures goes to "metrics/<name>", so that
    neither hides the other.
    """
    return f"metrics/{name}" if name in wire.SCALARS else name


def record_batch(rows: Sequence[Row]) -> pa.RecordBatch:
    """The rows as columns with the schema `wire.ROWS`.

    Raises:
        ValueError, TypeError, OverflowError: A value does not fit its column.
    """
    arrays = []
    for column in wire.ROWS:
        if column.name == "metrics":
            values = [_metrics(row) for row in rows]
        else:
            default = _DEFAULTS.get(column.name)
            values = [row.get(column.name, default) for row in rows]
        arrays.append(pa.array(values, column.type))
        if not column.nullable and arrays[-1].null_count:
            raise ValueError(f"a row has no {column.name!r}, which every row needs")
    return pa.RecordBatch.from_arrays(arrays, schema=wire.ROWS)


def ipc_stream(batch: pa.RecordBatch, *, writer: str, first_seq: int) -> bytes:
    """The batch as an Arrow IPC stream that says who sends it and where it stands in line.

    Args:
        batch: Rows with the schema `wire.ROWS`.
        writer: UUID of the sending process.
        first_seq: The writer's sequence number of the first row; the others follow.
    """
    metadata = {wire.WRITER: writer.encode(), wire.FIRST_SEQ: b"%d" % first_seq}
    schema = batch.schema.with_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(batch.replace_schema_metadata(metadata))
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _metrics(row: Row) -> list[tuple[str, float]] | None:
    metrics = row.get("metrics")
    if not metrics:
        return None
    return [(metric_key(str(name)), float(value)) for name, value in metrics.items()]
