"""Arrow tables as responses."""

from __future__ import annotations

import pyarrow as pa
from fastapi import Request, Response

from htga_client.wire import ARROW_STREAM


def wants_arrow(request: Request) -> bool:
    """Whether the client asked for an Arrow stream."""
    return ARROW_STREAM in request.headers.get("accept", "")


def arrow_response(table: pa.Table) -> Response:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW_STREAM)
