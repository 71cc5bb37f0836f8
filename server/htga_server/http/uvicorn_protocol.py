"""HTTP/1.1 as uvicorn speaks it, with an end to what a client may leave unfinished."""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 15.0
"""How long a head may take to come; and the rest of a body, once it was answered."""
HEAD_BYTES = 128 * 2**10
"""Bytes of a head without an end after which no more of it is read; `heads` allows less."""
REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


class Protocol(HttpToolsProtocol):
    """One connection.

    uvicorn waits for ever for the end of a head, and keeps all of it: a client that sends a byte
    now and then would hold a connection, and one that sends a header without an end the memory.
    """

    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio's own hook, as all that follow are somebody's."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        in_head = self._in_head
        super().data_received(data)
        if self.transport.is_closing():
            return
        if in_head and self._in_head:  # else some of it may be a body
            self._size += len(data)
            if self._size > HEAD_BYTES:
                self.transport.write(REFUSAL)
                self.transport.close()
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()  # what came must be the beginning of a request, or the rest of one

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head, self._size = True, 0
        if self._timer is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._in_head = False
        self._wait_no_more()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A body is whole."""
        super().on_message_complete()
        self._wait_no_more()

    def on_response_complete(self) -> None:
        """An answer is sent, whether all of its request has come or not."""
        super().on_response_complete()
        if self.cycle.more_body and self._timer is None:
            self._wait()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
