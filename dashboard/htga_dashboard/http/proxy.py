"""A proxy for the collector's API, for a dashboard in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict
from urllib.parse import quote

import anyio
import httpx2
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from htga_client.wire import PREFIX, Problem
from htga_dashboard.source.source import Source

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
READS = {"GET", "HEAD"}

CONNECT_S = 10.0

HOP_BY_HOP = {
    "connection",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""Headers of a single connection (RFC 9110, section 7.6.1), and Host."""


class Forwarder:
    """Forwards requests, streams included, to the collector of `source`.

    Requests that only read and carry no token get the read token of the source.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._closed = asyncio.Event()

    def close(self) -> None:
        """End open streams, which would keep a stopping server alive."""
        self._closed.set()

    async def answer(self, request: Request) -> Response:
        """The collector's response to `request`, or 502 without one."""
        client = self._source.client
        reads = request.method in READS
        headers = _end_to_end(request.headers.raw)
        if reads and "authorization" in client.headers and "authorization" not in request.headers:
            headers.append((b"authorization", client.headers["authorization"].encode("latin-1")))
        outgoing = httpx2.Request(
            request.method,
            _below(client.base_url, request),
            headers=headers,
            content=None if reads else request.stream(),
            extensions={"timeout": httpx2.Timeout(CONNECT_S, read=None).as_dict()},
        )
        try:
            answer = await client.send(outgoing, stream=True)
        except httpx2.TransportError as error:
            detail = f"the collector at {self._source.url} does not answer: {error}"
            problem = Problem(title="Bad gateway", status=502, detail=detail)
            return JSONResponse(asdict(problem), 502, media_type="application/problem+json")
        response = StreamingResponse(self._body(answer), answer.status_code)
        response.raw_headers = _end_to_end(answer.headers.raw)
        return response

    async def _body(self, answer: httpx2.Response) -> AsyncIterator[bytes]:
        chunks = answer.aiter_raw()
        chunk = asyncio.ensure_future(anext(chunks, b""))
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            while True:
                await asyncio.wait({chunk, closed}, return_when=asyncio.FIRST_COMPLETED)
                if not chunk.done() or not (data := await chunk):
                    return
                yield data
                chunk = asyncio.ensure_future(anext(chunks, b""))
        except httpx2.TransportError:
            return  # the response was cut off; ending ours without its length tells the reader
        finally:
            # If the reader is gone, every await here is cancelled.
            with anyio.CancelScope(shield=True):
                chunk.cancel()
                closed.cancel()
                await asyncio.gather(chunk, closed, return_exceptions=True)
                await answer.aclose()


def _below(base: httpx2.URL, request: Request) -> httpx2.URL:
    """The address of the request at a collector that may itself be below some path."""
    path = base.raw_path.rstrip(b"/") + quote(request.scope["path"]).encode()
    query: bytes = request.scope["query_string"]
    return base.copy_with(raw_path=path + b"?" * bool(query) + query)


def forward(server: FastAPI, source: Source) -> None:
    """Make `server` forward every path below the API's prefix to the collector of `source`."""
    forwarder = Forwarder(source)
    server.state.broker = forwarder  # a stopping server closes this first
    server.add_route(f"{PREFIX}/{{path:path}}", forwarder.answer, methods=METHODS)


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower(), value)
        for name, value in headers
        if name.decode("latin-1").lower() not in HOP_BY_HOP
    ]
