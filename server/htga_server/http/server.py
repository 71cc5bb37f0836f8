"""Running an ASGI app with uvicorn: its port known at once, its end prompt with streams open."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
from collections.abc import Iterator
from types import FrameType

import uvicorn
from fastapi import FastAPI

from htga_server.http.uvicorn_protocol import Protocol

BACKLOG = 2048
"""Connections that wait to be accepted: a thousand runs may start at once."""


class Server(uvicorn.Server):
    """A uvicorn server on a socket of its own.

    uvicorn waits for open responses before it runs the app's shutdown, and an event stream would
    never end by itself; so the streams of `app.state.broker`, where an app has one, are ended as
    soon as the server is asked to stop.

    Args:
        app: A collector, or a dashboard.
        host: Address to bind.
        port: Port to bind; 0 takes a free one, which `port` then tells.

    Raises:
        OSError: The address cannot be bound.
    """

    def __init__(self, app: FastAPI, *, host: str = "127.0.0.1", port: int = 0) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            timeout_graceful_shutdown=3,
            timeout_keep_alive=15,
            http=Protocol,
        )
        super().__init__(config)
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}"

    def serve_forever(self) -> None:
        """Serve until SIGINT or SIGTERM."""
        # In the main thread the process is this server's.
        own = threading.current_thread() is threading.main_thread()
        with (
            _kept() if own else contextlib.nullcontext(),
            contextlib.suppress(KeyboardInterrupt),  # uvicorn raises it again when all is done
        ):
            self.run(sockets=[self._socket])

    @contextlib.contextmanager
    def background(self) -> Iterator[Server]:
        """Serve in a thread while the block runs.

        Raises:
            RuntimeError: The app did not start.
        """
        thread = threading.Thread(target=self.serve_forever, name="htga-server", daemon=True)
        thread.start()
        while not self._started.wait(0.1):
            if not thread.is_alive():
                raise RuntimeError(f"the server on {self.url} did not start")
        try:
            yield self
        finally:
            self.stop()
            thread.join()

    def stop(self) -> None:
        """Ask the server to stop, from any thread or signal handler."""
        self.should_exit = True
        broker = getattr(self._app.state, "broker", None)
        if broker is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(broker.close)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at a signal; uvicorn's own handler."""
        super().handle_exit(sig, frame)  # first: to it, a second SIGINT means "at once"
        self.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; uvicorn's own hook."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._started.set()


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """Take all that is loaded for needed, while the block runs.

    To look through it for garbage, again and again, would hold up all requests for a tenth of a
    second each time.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the socket says that it is TCP; with it
    # on, an answer can wait 40 ms for the client's delayed acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(
            BACKLOG
        )  # who connects before the app has started waits instead of being refused
    except OSError:
        bound.close()
        raise
    return bound
