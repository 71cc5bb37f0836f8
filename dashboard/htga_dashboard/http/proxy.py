"""The collector's API at the dashboard's own address, when the two are separate processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict

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
"""Headers that are about one connection (RFC 9110, section 7.6.1), and the one that names it."""


class Forwarder:
    """Passes requests on to the collector that a source reads, streams included.

    The source's own read token is lent to requests that only read and bring no other.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._closed = asyncio.Event()

    def close(self) -> None:
        """End the open streams, so that they do not keep a stopping server alive."""
        self._closed.set()

    async def answer(self, request: Request) -> Response:
        """The collector's answer to `request`, or 502 where it gives none."""
        client = self._source.client
        reads = request.method in READS
        headers = _end_to_end(request.headers.raw)
        if reads and "authorization" in client.headers and "authorization" not in request.headers:
            headers.append((b"authorization", client.headers["authorization"].encode("latin-1")))
        outgoing = httpx2.Request(
            request.method,
            client.base_url.join(request.url.path).copy_with(query=request.url.query.encode()),
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
            return  # the answer was cut off, and so is ours: its reader sees that
        finally:
            # The reader may have gone, which cancels whatever is awaited here.
            with anyio.CancelScope(shield=True):
                chunk.cancel()
                closed.cancel()
                await asyncio.gather(chunk, closed, return_exceptions=True)
                await answer.aclose()


def forward(server: FastAPI, source: Source) -> None:
    """Let `server` pass everything below the API's prefix on to the collector of `source`."""
    forwarder = Forwarder(source)
    server.state.broker = forwarder  # what a server that is asked to stop closes first
    server.add_route(f"{PREFIX}/{{path:path}}", forwarder.answer, methods=METHODS)


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower(), value)
        for name, value in headers
        if name.decode("latin-1").lower() not in HOP_BY_HOP
    ]
