"""Resources as responses: JSON, or Arrow where it is asked for, with a tag to ask again by."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
from fastapi import Request, Response
from pydantic import TypeAdapter

from htga_client.wire import (
    ARROW_STREAM,
    GroupedSeries,
    Histograms,
    LayerMap,
    Run,
    RunPage,
    Series,
    Tail,
)

ADAPTERS: dict[type, TypeAdapter[Any]] = {
    kind: TypeAdapter(kind)
    for kind in (Run, RunPage, Series, GroupedSeries, Histograms, LayerMap, Tail)
}


def answer(request: Request, resource: Any) -> Response:
    """A dataclass of `wire` as JSON.

    It is made by this collector, so it is written out as it stands, not validated again.
    """
    return tagged(request, ADAPTERS[type(resource)].dump_json(resource), "application/json")


def wants_arrow(request: Request) -> bool:
    """Whether the client asked for an Arrow stream."""
    return ARROW_STREAM in request.headers.get("accept", "")


def arrow_answer(request: Request, table: pa.Table) -> Response:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return tagged(request, sink.getvalue().to_pybytes(), ARROW_STREAM)


def tagged(request: Request, body: bytes, media_type: str) -> Response:
    """The body with an ETag, or 304 where the client has it already."""
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept, Authorization, Cookie"}
    if request.method == "GET" and tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
