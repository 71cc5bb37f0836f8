"""An ASGI app that is called without a socket, from ordinary functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import httpx2
from fastapi import FastAPI

T = TypeVar("T")


class InProcess(httpx2.BaseTransport):
    """Passes each request to an app on an event loop of its own thread, and reads its whole answer.

    An answer without end, such as an event stream, needs a socket. So does whatever uvicorn does
    before an app sees a request.
    """

    def __init__(self, app: FastAPI) -> None:
        self._asgi = httpx2.ASGITransport(app=app, raise_app_exceptions=False)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request."""
        assert not request.url.path.endswith("/live"), "take the fixture `collector` for a stream"
        request.read()
        return call(lambda: self._answer(request))

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self._asgi.handle_async_request(request)
        assert isinstance(answer.stream, httpx2.AsyncByteStream)
        body = b"".join([part async for part in answer.stream])
        return httpx2.Response(answer.status_code, headers=answer.headers, content=body)


@contextmanager
def serving(app: FastAPI) -> Iterator[InProcess]:
    """An app that has started, and is ended with the block."""
    lifespan = app.router.lifespan_context(app)
    call(lifespan.__aenter__)
    try:
        yield InProcess(app)
    finally:
        call(lambda: lifespan.__aexit__(None, None, None))


def call(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on that event loop, and return its result."""
    return asyncio.run_coroutine_threadsafe(work(), _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="in-process", daemon=True).start()
    return loop
