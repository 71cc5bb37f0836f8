"""Runs and rows to send."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import pyarrow as pa
import sqlalchemy as sa

from htga_client.wire import FIRST_SEQ, GAPS, ROWS, WRITER
from htga_client.wire.histogram import encode
from htga_server.ingest import decode
from htga_server.ingest.store import IngestRequest, IngestResult, store_requests
from htga_server.settings import Settings
from htga_server.storage.database import Database
from htga_server.timeseries.snapshot import Snapshot


def new_run(**other: Any) -> dict[str, Any]:
    """The body of `POST /runs`."""
    return {"id": str(uuid.uuid4()), "project": "digits", "name": "quiet-maple"} | other


def stream(
    rows: Sequence[Mapping[str, Any]],
    *,
    writer: str | None = None,
    first_seq: int = 0,
    gaps: Sequence[tuple[int, int]] = (),
) -> bytes:
    """Rows as the Arrow body of a request."""
    metadata: dict[str | bytes, str] = {}
    if writer is not None:
        metadata = {WRITER: writer, FIRST_SEQ: str(first_seq)}
    if gaps:
        metadata[GAPS] = json.dumps(gaps)
    return ipc(pa.Table.from_pylist([dict(row) for row in rows], ROWS.with_metadata(metadata)))


def ipc(table: pa.Table, options: pa.ipc.IpcWriteOptions | None = None) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=options) as out:
        out.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def snapshot(connection: sa.Connection) -> Snapshot:
    """What is read of runs none of which is pruned."""

    def archived(*_: object) -> NoReturn:
        raise AssertionError("no run is pruned")

    return Snapshot(connection, archived)


def store(database: Database, settings: Settings, run_id: str, body: bytes) -> IngestResult:
    """Store an Arrow stream in a run as a request of its own."""
    request = IngestRequest(run_id, decode.from_arrow(body, 50_000), settings)
    (answer,) = database.write_now(lambda connection: store_requests(connection, [request]))
    if isinstance(answer, Exception):
        raise answer
    return answer


def probe_rows(steps: range, **other: Any) -> list[dict[str, Any]]:
    """Rows as a probe sends them, with one user metric."""
    return [
        {
            "step": step,
            "alpha_hat": 1.5 + 0.1 * math.sin(step),
            "alpha_bar": 1.5,
            "gamma": 0.3,
            "grad_norm": 0.1 + 0.01 * (step % 7),
            "grad_norm_var": 0.01,
            "histogram": encode([5, 20, 60, 15], bits=1, first=220),
            "metrics": [("loss", 2.0 / (step + 1))],
        }
        | other
        for step in steps
    ]
