"""Compression for readers on other machines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from htga_dashboard.app import create_app
from htga_dashboard.figures.plotly_script import PATH
from htga_dashboard.http.compression import Compression
from htga_dashboard.source.source import Source

FAR, HERE = ("203.0.113.9", 40_000), ("127.0.0.1", 40_000)
LARGE = {"values": ["0.125"] * 10_000}


async def large(_request: Request) -> Response:
    return JSONResponse(LARGE, headers={"Vary": "Origin"})


async def callback(_request: Request) -> Response:
    return Response(JSONResponse(LARGE).body)


async def small(_request: Request) -> Response:
    return JSONResponse({"ok": True})


async def rows(_request: Request) -> Response:
    return Response(b"\0" * 100_000, media_type="application/vnd.apache.arrow.stream")


async def packed(_request: Request) -> Response:
    coded = {"Content-Encoding": "x"}
    return Response(b"\0" * 100_000, media_type="application/json", headers=coded)


async def stream(_request: Request) -> Response:
    async def events() -> AsyncIterator[str]:
        for _ in range(3):
            yield "data: {}\n\n" * 10_000

    return StreamingResponse(events(), media_type="text/event-stream")


app = Starlette(
    routes=[
        Route(f"/{each.__name__}", each) for each in (large, callback, small, rows, packed, stream)
    ]
)
app.add_middleware(Compression)


def ask(path: str, *, client: tuple[str, int], accept: str = "gzip, deflate") -> httpx2.Response:
    async def get() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app, client=client)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.get(path, headers={"accept-encoding": accept})

    return asyncio.run(get())


@pytest.mark.parametrize("path", ["/large", "/callback"])
def test_a_large_answer_reaches_another_machine_compressed_and_whole(path: str) -> None:
    answer = ask(path, client=FAR)
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 5_000
    assert "Accept-Encoding" in answer.headers["vary"]
    assert answer.json() == LARGE


@pytest.mark.parametrize(
    ("path", "client", "accept"),
    [
        ("/large", HERE, "gzip"),
        ("/large", ("::1", 1), "gzip"),
        ("/large", FAR, "identity"),
        ("/large", FAR, "br, gzip;q=0"),
        ("/small", FAR, "gzip"),
        ("/rows", FAR, "gzip"),
        ("/packed", FAR, "gzip"),
        ("/stream", FAR, "gzip"),
    ],
)
def test_responses_near_small_binary_streamed_or_without_gzip_stay_uncompressed(
    path: str, client: tuple[str, int], accept: str
) -> None:
    assert ask(path, client=client, accept=accept).headers.get("content-encoding") != "gzip"


@given(st.lists(st.sampled_from(["br", "gzip", "gzip;q=0.5", "*", "zstd"]), max_size=4))
def test_gzip_is_sent_if_the_request_accepts_it(codings: list[str]) -> None:
    sent = ask("/large", client=FAR, accept=", ".join(codings)).headers.get("content-encoding")
    assert (sent == "gzip") == any(coding.startswith("gzip") for coding in codings)


def test_a_dashboard_sends_its_scripts_compressed_to_another_machine() -> None:
    dashboard = create_app(Source(httpx2.AsyncClient(base_url="http://127.0.0.1:9"))).server

    async def get() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=dashboard, client=FAR)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.get(PATH)

    answer = asyncio.run(get())
    assert answer.headers["content-encoding"] == "gzip"
    assert 3 * int(answer.headers["content-length"]) < len(answer.content)
