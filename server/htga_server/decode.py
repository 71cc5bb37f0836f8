"""From the bytes of a request to a validated Arrow batch of rows. No value is read before."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from htga_client import histogram
from htga_client.wire import FIRST_SEQ, GAPS, ROWS, WRITER, JsonRows, Rejection
from htga_server.problems import BadRequest

MAX_ROWS = 50_000
MAX_NAME = 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one request.

    Attributes:
        table: Columns of `wire.ROWS`, in that order.
        writer: Who sent it; None for JSON, which is not numbered.
        first_seq: Sequence number of the first row.
        gaps: Pairs [first, end) of numbers that the writer says will never come.
    """

    table: pa.Table
    writer: str | None = None
    first_seq: int = 0
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def last_step(self) -> int | None:
        """The highest step in the batch."""
        return cast("int | None", pc.max(self.table["step"]).as_py())


def from_arrow(body: bytes) -> Batch:
    """Read an Arrow IPC stream of `wire.ROWS`; columns it lacks are null.

    Bytes from a network can hold offsets that point anywhere, and Arrow trusts them unless told
    to check: every batch is fully validated before a value is touched. Compression inside Arrow is
    refused, because a few bytes could unpack into gigabytes.

    Raises:
        BadRequest: The bytes are no such stream, or it holds a column that `wire.ROWS` lacks.
    """
    try:
        _refuse_compression(body)
        with pa.ipc.open_stream(body) as reader:
            metadata = reader.schema.metadata or {}
            _check_schema(reader.schema)
            batches = []
            rows = 0
            for batch in reader:
                batch.validate(full=True)
                rows += batch.num_rows
                _limit(rows)
                batches.append(batch)
            table = pa.Table.from_batches(batches, reader.schema)
        first_seq = int(metadata.get(FIRST_SEQ, b"0"))
        gaps = tuple((int(a), int(b)) for a, b in json.loads(metadata.get(GAPS, b"[]")))
        writer = metadata[WRITER].decode("ascii") if WRITER in metadata else None
    except (pa.ArrowException, ValueError, TypeError, OSError) as error:
        raise BadRequest(f"the body is no readable Arrow stream: {str(error)[:200]}") from error
    if first_seq < 0 or (writer is not None and len(writer) > 36):
        raise BadRequest("the stream's metadata names no valid writer and first_seq")
    columns = [
        table[field.name] if field.name in table.column_names else pa.nulls(rows, field.type)
        for field in ROWS
    ]
    return Batch(pa.table(columns, ROWS.names), writer, first_seq, gaps)


def from_json(rows: JsonRows) -> Batch:
    """The same of rows in JSON."""
    _limit(len(rows.rows))
    records = [{**asdict(row), "metrics": list(row.metrics.items())} for row in rows.rows]
    return Batch(pa.Table.from_pylist(records, pa.schema([f.with_nullable(True) for f in ROWS])))


def check(table: pa.Table) -> tuple[NDArray[np.bool_], tuple[Rejection, ...]]:
    """Which rows can be stored, and the reasons of the others.

    Returns:
        A mask of shape [rows], and one Rejection per row that it leaves out.
    """
    rejected: dict[int, str] = {}

    def reject(where: pa.ChunkedArray, reason: str) -> None:
        for row in np.flatnonzero(np.asarray(pc.fill_null(where, False))):
            rejected.setdefault(int(row), reason)

    reject(pc.is_null(table["step"]), "step is missing")
    reject(pc.less(table["step"], 0), "step is negative")
    reject(pc.less(table["rank"], 0), "rank is negative")
    reject(pc.greater(pc.binary_length(table["layer"]), MAX_NAME), "layer is too long")
    sent = np.flatnonzero(np.asarray(table["histogram"].is_valid()))
    decoded = histogram.decode_all(table["histogram"].drop_null().to_pylist())
    for row in sent[~decoded.valid]:
        rejected.setdefault(int(row), "histogram cannot be read")
    for row, pairs in enumerate(table["metrics"].to_pylist()):
        for name, _ in pairs or ():
            if not 0 < len(name) <= MAX_NAME or "\0" in name:
                rejected.setdefault(row, "a metric's name is empty, too long or holds a NUL")
    keep = np.ones(table.num_rows, np.bool_)
    keep[list(rejected)] = False
    return keep, tuple(Rejection(row=row, reason=why) for row, why in sorted(rejected.items()))


def _check_schema(schema: pa.Schema) -> None:
    unknown = sorted(set(schema.names) - set(ROWS.names))
    if unknown:
        raise BadRequest(f"unknown columns {unknown[:5]}")
    if len(set(schema.names)) < len(schema.names):
        raise BadRequest("two columns have the same name")
    for field in schema:
        if field.type != ROWS.field(field.name).type:
            wanted = ROWS.field(field.name).type
            raise BadRequest(f"column {field.name} is {field.type}, not {wanted}")


def _limit(rows: int) -> None:
    if rows > MAX_ROWS:
        raise BadRequest(f"{rows} rows in one request; at most {MAX_ROWS} are taken", status=413)


def _refuse_compression(body: bytes) -> None:
    """Look at each message's flatbuffer for a body compression, without reading any body."""
    for message in pa.ipc.MessageReader.open_stream(body):
        if message.type == "dictionary":
            raise BadRequest("dictionary-encoded columns are not taken")
        if message.type == "record batch" and _is_compressed(memoryview(message.metadata)):
            raise BadRequest("Arrow-level compression is not taken; use Content-Encoding")


def _is_compressed(metadata: memoryview) -> bool:
    message = _root(metadata)
    batch = _table_slot(metadata, message, 2)
    return batch is not None and _slot(metadata, batch, 3) is not None


def _root(buffer: memoryview) -> int:
    return int.from_bytes(buffer[0:4], "little")


def _slot(buffer: memoryview, table: int, number: int) -> int | None:
    """Position of field `number` of a flatbuffer table, or None where the field is absent."""
    vtable = table - int.from_bytes(buffer[table : table + 4], "little", signed=True)
    size = int.from_bytes(buffer[vtable : vtable + 2], "little")
    entry = 4 + 2 * number
    if entry + 2 > size:
        return None
    offset = int.from_bytes(buffer[vtable + entry : vtable + entry + 2], "little")
    return table + offset if offset else None


def _table_slot(buffer: memoryview, table: int, number: int) -> int | None:
    at = _slot(buffer, table, number)
    return None if at is None else at + int.from_bytes(buffer[at : at + 4], "little")
