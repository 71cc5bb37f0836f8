"""Read and decompress the body of a request, up to its limit."""

from __future__ import annotations

import io

import pyarrow as pa
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from htga_server.problems import BadRequest, TooLarge
from htga_server.settings import Settings

ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}


async def read(request: Request, settings: Settings) -> bytes:
    """Return the body, decompressed if `Content-Encoding` is gzip or zstd.

    The decompressed size is checked as it grows; the guard checks the size on the wire.

    Raises:
        BadRequest: The encoding is unknown, or the body does not have it.
        TooLarge: The body is larger than `settings.body_limit`.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "", *ENCODINGS}:
        raise BadRequest(
            f"Content-Encoding must be gzip, zstd or identity, got {encoding[:40]!r}",
            status=415,
            slug="unsupported-encoding",
        )
    body = await request.body()
    if encoding not in ENCODINGS:
        return body
    return await run_in_threadpool(_unpack, body, ENCODINGS[encoding], settings.body_limit)


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
