"""Decode the bytes of a request into rows, and validate them before any value is read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, TypeAdapter, ValidationError

from htga_client.wire import ATTEMPT_OF, FIRST_SEQ, GAPS, ROWS, WRITER, JsonRows
from htga_server.problems import BadRequest, TooLarge

MAX_BATCHES = 1000
MAX_LAYERS = 10_000
MAX_SEQ = 2**62 - 1
MAX_GAPS_BYTES = 2**14
"""Bytes of the gaps that a request declares; a sender of ours declares one."""
SeqNumber = Annotated[int, Field(ge=0, le=MAX_SEQ, strict=True)]
GAP_LIST = TypeAdapter(list[tuple[SeqNumber, SeqNumber]])
TYPES = dict(zip(ROWS.names, ROWS.types, strict=True))
NULLABLE = pa.schema([field.with_nullable(True) for field in ROWS])


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one request.

    Attributes:
        table: Those columns of `wire.ROWS` that were sent, validated.
        writer: The id of the writer; None for JSON, whose rows are not numbered.
        first_seq: The sequence number of the first row.
        gaps: Ranges [first, end) of numbers that the writer declares as lost.
        size: Bytes of the request, decompressed.
        attempt_of: The writer to whose attempt rows without numbers belong; None for the latest.
    """

    table: pa.Table
    writer: str | None = None
    first_seq: int = 0
    gaps: tuple[tuple[int, int], ...] = ()
    size: int = 0
    attempt_of: str | None = None

    @property
    def ranks(self) -> set[int]:
        """The ranks of its rows."""
        if "rank" not in self.table.column_names:
            return {0}
        return {rank or 0 for rank in pc.unique(self.table["rank"]).to_pylist()}


def from_arrow(body: bytes, max_rows: int) -> Batch:
    """Read an Arrow IPC stream of `wire.ROWS`.

    Bytes from a network can hold offsets that point anywhere, and Arrow trusts them unless told to
    check, so every batch is fully validated before a value is read. Compression inside Arrow is
    refused, because a few bytes could unpack into gigabytes.

    Args:
        max_rows: Maximum number of rows.

    Raises:
        BadRequest: The bytes are no such stream, or it has a column that `wire.ROWS` lacks.
        TooLarge: It has too many rows.
    """
    try:
        _refuse_compression(body)
        with pa.ipc.open_stream(body) as reader:
            metadata = reader.schema.metadata or {}
            _check_schema(reader.schema)
            batches = []
            rows = 0
            for batch in reader:
                _validate(batch)
                rows += batch.num_rows
                _limit(rows, max_rows)
                batches.append(batch)
            table = pa.Table.from_batches(batches, reader.schema)
        numbered = _numbered(metadata)
    except (pa.ArrowException, UnicodeDecodeError, ValueError, OSError) as error:
        raise BadRequest(f"the body is no readable Arrow stream: {str(error)[:200]}") from error
    return Batch(_few_layers(table.replace_schema_metadata()), size=len(body), **numbered)


def from_json(rows: JsonRows, max_rows: int) -> Batch:
    """Read rows in JSON; raise as `from_arrow`."""
    _limit(len(rows.rows), max_rows)
    records = [{**asdict(row), "metrics": list(row.metrics.items())} for row in rows.rows]
    try:
        table = pa.Table.from_pylist(records, NULLABLE)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        raise BadRequest(f"a value does not fit its column: {str(error)[:200]}") from error
    return Batch(_few_layers(table), size=table.nbytes)


def _validate(batch: pa.RecordBatch) -> None:
    batch.validate(full=True)


def _few_layers(table: pa.Table) -> pa.Table:
    if table.num_rows > MAX_LAYERS and "layer" in table.column_names:
        layers = len(pc.unique(table["layer"]))
        if layers > MAX_LAYERS:
            words = f"{layers} layers in one request; at most {MAX_LAYERS}"
            raise TooLarge(words, limit=MAX_LAYERS, actual=layers)
    return table


def _numbered(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """Return the writer of the stream, its first number and its gaps."""
    if WRITER not in metadata:
        attempt_of = metadata.get(ATTEMPT_OF)
        return {"attempt_of": attempt_of and attempt_of.decode("ascii")}
    writer, first_seq = metadata[WRITER].decode("ascii"), int(metadata.get(FIRST_SEQ, b"0"))
    if not 0 < len(writer) <= 36 or not writer.isprintable() or not 0 <= first_seq <= MAX_SEQ:
        raise BadRequest("the stream's metadata names no valid writer and first_seq")
    return {"writer": writer, "first_seq": first_seq, "gaps": _gaps(metadata.get(GAPS, b"[]"))}


def _gaps(text: bytes) -> tuple[tuple[int, int], ...]:
    # The size comes first, because deep nesting exhausts the stack of Python's parser.
    try:
        found = GAP_LIST.validate_json(text) if len(text) <= MAX_GAPS_BYTES else None
    except ValidationError:
        found = None
    if found is None or not all(first <= end for first, end in found):
        raise BadRequest(
            f"gaps must be pairs [first, end) of numbers from 0 to {MAX_SEQ}, in at most"
            f" {MAX_GAPS_BYTES} bytes of JSON"
        )
    return tuple(found)


def _check_schema(schema: pa.Schema) -> None:
    unknown = sorted(set(schema.names) - TYPES.keys())
    if unknown:
        raise BadRequest(f"unknown columns {unknown[:5]}")
    if len(set(schema.names)) < len(schema.names):
        raise BadRequest("two columns have the same name")
    for name, found in zip(schema.names, schema.types, strict=True):
        if found != TYPES[name]:
            raise BadRequest(f"column {name} is {found}, not {TYPES[name]}")


def _limit(rows: int, max_rows: int) -> None:
    if rows > max_rows:
        raise TooLarge(
            f"{rows} rows in one request; at most {max_rows} are accepted",
            limit=max_rows,
            actual=rows,
        )


def _refuse_compression(body: bytes) -> None:
    """Refuse body compression by each message's metadata, without reading any body.

    pyarrow does not expose the flag, so it is read from the flatbuffer: field 3 of a record batch.
    """
    for number, message in enumerate(pa.ipc.MessageReader.open_stream(body)):
        if number > MAX_BATCHES:
            raise BadRequest(f"the stream has more than {MAX_BATCHES} batches")
        if message.type == "dictionary":
            raise BadRequest("dictionary-encoded columns are not accepted")
        if message.type == "record batch" and _is_compressed(memoryview(message.metadata)):
            raise BadRequest("Arrow-level compression is not accepted; use Content-Encoding")


def _is_compressed(metadata: memoryview) -> bool:
    message = _root(metadata)
    batch = _table_slot(metadata, message, 2)
    return batch is not None and _slot(metadata, batch, 3) is not None


def _root(buffer: memoryview) -> int:
    return int.from_bytes(buffer[0:4], "little")


def _slot(buffer: memoryview, table: int, number: int) -> int | None:
    """Return the position of field `number` of a flatbuffer table, or None if it is absent."""
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
