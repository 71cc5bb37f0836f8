"""Run an ASGI app with uvicorn, on a known port, and stop promptly with streams open."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI

from htga_client.url import clean_root_path
from htga_server.http.proxy_headers import ProxyHeaders
from htga_server.http.uvicorn_protocol import Protocol

BACKLOG = 2048
"""Connections that may wait to be accepted; a thousand runs may start at once."""


class Server(uvicorn.Server):
    """A uvicorn server on a socket of its own.

    uvicorn waits for open responses before it shuts the app down, and an event stream never ends
    by itself. So `stop` first ends the streams of `app.state.broker`, if the app has one.

    Args:
        app: A collector, or a dashboard.
        host: Address to bind.
        port: Port to bind; 0 takes a free one, which the attribute `port` holds.
        root_path, trusted_proxies: See `ProxyHeaders`.

    Raises:
        OSError: The address cannot be bound.
        ValueError: The root path is malformed.
    """

    def __init__(
        self,
        app: FastAPI,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        root_path: str = "",
        trusted_proxies: Sequence[str] = ("127.0.0.1", "::1"),
    ) -> None:
        root_path = clean_root_path(root_path)
        config = uvicorn.Config(
            ProxyHeaders(app, root_path=root_path, trusted=trusted_proxies),
            proxy_headers=False,  # ours come before, and know the root path as well
            log_config=None,  # its loggers go where all others go
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
        self.url = f"http://{shown}:{self.port}{root_path}"

    def serve_forever(self) -> None:
        """Serve until SIGINT or SIGTERM."""
        # A server in the main thread has the process to itself.
        own = threading.current_thread() is threading.main_thread()
        with (
            _frozen_heap() if own else contextlib.nullcontext(),
            contextlib.suppress(KeyboardInterrupt),  # uvicorn raises it again at its end
        ):
            self.run(sockets=[self._socket])

    @contextlib.contextmanager
    def background(self) -> Iterator[Server]:
        """Serve in a thread during the block.

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
        """Stop at a signal (hook of uvicorn)."""
        super().handle_exit(sig, frame)  # first, because it counts signals
        self.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start (hook of uvicorn)."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._started.set()


@contextlib.contextmanager
def _frozen_heap() -> Iterator[None]:
    """Exempt everything loaded so far from garbage collection during the block.

    Scanning it again and again would delay all requests by a tenth of a second each time.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for a socket that says it is TCP; with it on, a
    # response can wait 40 ms for the client's delayed acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        # Clients that connect before the app has started wait instead of being refused.
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound
