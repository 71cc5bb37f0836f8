"""Responses in JSON or Arrow, with an ETag."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import pyarrow as pa
from fastapi import Request, Response
from pydantic import TypeAdapter

from htga_client.wire import ARROW_STREAM


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def json_response(request: Request, resource: Any) -> Response:
    """Return a dataclass of `wire` as JSON, without validating what we made ourselves."""
    return with_etag(request, _adapter(resource.__class__).dump_json(resource), "application/json")


def wants_arrow(request: Request) -> bool:
    """Return whether the client accepts an Arrow stream."""
    return ARROW_STREAM in request.headers.get("accept", "")


def arrow_response(request: Request, table: pa.Table) -> Response:
    """Return a table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return with_etag(request, sink.getvalue().to_pybytes(), ARROW_STREAM)


def with_etag(request: Request, body: bytes, media_type: str) -> Response:
    """Return the body with an ETag, or 304 if the client has it already."""
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept, Authorization, Cookie"}
    if request.method == "GET" and tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
