"""Encoding of rows as Arrow record batches and as one Arrow IPC stream."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa

from htga_client import wire
from htga_client.wire.text import as_text

Row = Mapping[str, Any]
"""The fields of `wire.ROWS` by name; all but `step` may be missing; `metrics` is a mapping."""

_COLUMNS = [(column.name, column.type, column.nullable) for column in wire.ROWS]


def metric_key(name: str) -> str:
    """The name under which a user's metric is stored.

    A metric with the name of a scalar that the probe measures becomes "metrics/<name>", so that
    neither hides the other.
    """
    return f"metrics/{name}" if name in wire.SCALARS else name


def record_batch(rows: Sequence[Row]) -> pa.RecordBatch:
    """The rows as columns with the schema `wire.ROWS`.

    Raises:
        ValueError, TypeError, OverflowError: A value does not fit its column.
    """
    # Most rows have few of the columns, and this thread shares the interpreter with the training's.
    present = frozenset().union(*rows)
    count = len(rows)
    arrays = []
    for name, kind, nullable in _COLUMNS:
        if name == "layer":
            arrays.append(pa.array([row.get("layer", "") for row in rows], kind))
        elif name == "rank":
            arrays.append(pa.array([row.get("rank", 0) for row in rows], kind))
        elif name not in present:
            arrays.append(_nulls(count, kind))
        elif name == "metrics":
            arrays.append(_metrics(rows))
        else:
            arrays.append(pa.array([row.get(name) for row in rows], kind))
        if not nullable and arrays[-1].null_count:
            raise ValueError(f"a row has no {name!r}, which every row needs")
    return pa.RecordBatch.from_arrays(arrays, schema=wire.ROWS)


def ipc_stream(
    batches: Sequence[pa.RecordBatch],
    *,
    writer: str,
    first_seq: int,
    gaps: Sequence[tuple[int, int]] = (),
) -> bytes:
    """Batches as an Arrow IPC stream, with the writer and the sequence number in its metadata.

    Args:
        batches: Rows, all with the same schema.
        writer: UUID of the sending process.
        first_seq: Sequence number of the first row; the others follow.
        gaps: Pairs [first, end) of earlier sequence numbers that will never be sent.
    """
    metadata = {wire.WRITER: writer.encode(), wire.FIRST_SEQ: b"%d" % first_seq}
    if gaps:
        metadata[wire.GAPS] = json.dumps([list(gap) for gap in gaps]).encode()
    # As one batch: thirty batches of one row cost both sides several times as much as one of
    # thirty.
    return _stream(pa.concat_batches(batches), metadata)


def resent_stream(table: pa.Table, *, attempt_of: str) -> bytes:
    """Rows that were refused before as an Arrow IPC stream, outside of their writer's numbers.

    Args:
        table: The rows.
        attempt_of: UUID of their writer.
    """
    (whole,) = table.combine_chunks().to_batches()
    return _stream(whole, {wire.ATTEMPT_OF: attempt_of.encode()})


def _stream(batch: pa.RecordBatch, metadata: Mapping[bytes, bytes]) -> bytes:
    whole = batch.replace_schema_metadata(dict(metadata))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema) as stream:
        stream.write_batch(whole)
    body: bytes = sink.getvalue().to_pybytes()
    return body


@lru_cache(maxsize=64)
def _nulls(count: int, kind: pa.DataType) -> pa.Array:
    """A column of nulls; cached, because most batches have one or two rows."""
    return pa.nulls(count, kind)


def _metrics(rows: Sequence[Row]) -> pa.MapArray:
    """The metrics of all rows as one column; null for rows without any."""
    found = [row.get("metrics") or None for row in rows]
    names: list[str] = []
    values: list[Any] = []
    offsets: list[int | None] = []
    for metrics in found:
        offsets.append(None if metrics is None else len(names))
        if metrics is not None:
            names += metrics
            values += metrics.values()
    # Built from three flat columns; one struct per number would cost ten times as much.
    keys = [metric_key(name) if name in wire.SCALARS else as_text(name) for name in names]
    return pa.MapArray.from_arrays(
        pa.array([*offsets, len(names)], pa.int32()),
        pa.array(keys, pa.string()),
        pa.array(values, pa.float64()),
    )
