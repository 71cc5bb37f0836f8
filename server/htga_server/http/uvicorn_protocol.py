"""uvicorn's HTTP/1.1 protocol, with limits on the time and size of a request's head."""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_SECONDS = 15.0
"""How long a head may take, and the rest of a body after its response."""
MAX_HEAD_BYTES = 128 * 2**10
"""Bytes after which an unfinished head is no longer read; `header_limits` allows less."""
REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


class Protocol(HttpToolsProtocol):
    """One connection.

    uvicorn waits for ever for the end of a head and keeps all of it, so a slow client could hold a
    connection and an endless header could fill the memory.
    """

    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timer of the first head (asyncio callback)."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer (asyncio callback)."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and limit the size of the head (asyncio callback)."""
        in_head = self._in_head
        super().data_received(data)
        if self.transport.is_closing():
            return
        if in_head and self._in_head:  # otherwise some of it may be a body
            self._size += len(data)
            if self._size > MAX_HEAD_BYTES:
                self.transport.write(REFUSAL)
                self.transport.close()
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._start_timer()  # this data begins a request, or is the rest of an answered one

    def on_message_begin(self) -> None:
        """A head begins (httptools callback)."""
        super().on_message_begin()
        self._in_head, self._size = True, 0
        if self._timer is None:
            self._start_timer()

    def on_headers_complete(self) -> None:
        """A head is complete (httptools callback)."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A body is complete (httptools callback)."""
        super().on_message_complete()
        self._stop_timer()

    def on_response_complete(self) -> None:
        """A response is sent, even if its request is incomplete (uvicorn callback)."""
        super().on_response_complete()
        if self.cycle.more_body and self._timer is None:
            self._start_timer()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(MAX_HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
