"""The collector's API at the dashboard's own address, when the two are separate processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from htga_client.wire import PREFIX
from htga_dashboard.source import TIMEOUT_S, Source

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
READS = {"GET", "HEAD"}

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


def forward(server: FastAPI, source: Source) -> None:
    """Let `server` pass everything below the API's prefix on to the collector that `source` reads.

    Bodies are streamed both ways, endless event streams included. The dashboard's own read token
    is lent to requests that only read and bring none.
    """

    async def passed_on(request: Request) -> Response:
        headers = [
            (name, value)
            for name, value in request.headers.raw
            if name.decode("latin-1").lower() not in HOP_BY_HOP
        ]
        if source.token and request.method in READS and "authorization" not in request.headers:
            headers.append((b"authorization", f"Bearer {source.token}".encode()))
        outgoing = source.client.build_request(
            request.method,
            request.url.path,
            params=request.url.query.encode(),
            headers=headers,
            content=None if request.method in READS else request.stream(),
            timeout=httpx2.Timeout(TIMEOUT_S, read=None),
        )
        try:
            answer = await source.client.send(outgoing, stream=True)
        except httpx2.TransportError as error:
            problem = {
                "type": "about:blank",
                "title": "Bad Gateway",
                "status": 502,
                "detail": f"the collector at {source.url} does not answer: {error}",
            }
            return JSONResponse(problem, 502, media_type="application/problem+json")
        response = StreamingResponse(_body(answer), answer.status_code)
        response.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.decode("latin-1").lower() not in HOP_BY_HOP
        ]
        return response

    server.add_route(f"{PREFIX}/{{path:path}}", passed_on, methods=METHODS)


async def _body(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()
