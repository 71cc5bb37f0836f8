"""Reading a request's body, never more of it than is allowed."""

from __future__ import annotations

import asyncio
import io

import pyarrow as pa
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from htga_server.problems import BadRequest, TooLarge
from htga_server.settings import Settings

ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}


async def read(request: Request, settings: Settings) -> bytes:
    """The body, unpacked where `Content-Encoding` says gzip or zstd.

    Both what comes over the wire and what it unpacks to are counted as they grow: a length that
    the client states is a claim.

    Raises:
        BadRequest: The encoding is another, or the body is not of it; or it comes too slowly.
        TooLarge: There is more than `settings.body_limit`.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "", *ENCODINGS}:
        raise BadRequest(
            f"Content-Encoding must be gzip, zstd or identity, got {encoding[:40]!r}",
            status=415,
            slug="unsupported-encoding",
        )
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for chunk in request.stream():
                body += chunk
                _limit(len(body), settings.body_limit)
    except TimeoutError:
        raise BadRequest(
            f"the body took longer than {settings.body_seconds:g} s", status=408, slug="too-slow"
        ) from None
    if encoding not in ENCODINGS:
        return bytes(body)
    return await run_in_threadpool(_unpack, bytes(body), ENCODINGS[encoding], settings.body_limit)


def _unpack(packed: bytes, encoding: str, limit: int) -> bytes:
    out = io.BytesIO()
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), encoding) as stream:
            while chunk := stream.read(1 << 20):
                out.write(chunk)
                _limit(out.tell(), limit)
    except (pa.ArrowException, OSError) as error:
        raise BadRequest(f"the body is no {encoding}: {str(error)[:200]}") from error
    return out.getvalue()


def _limit(size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(f"the body is larger than {limit} bytes", limit=limit, actual=size)
