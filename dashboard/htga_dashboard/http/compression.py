"""Answers made small for readers on other machines.

On this machine they are sent as they are, because compressing takes longer than sending. Of whom a
proxy passes on, it is the machine that the proxy names that counts (X-Forwarded-For).
"""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
from functools import lru_cache

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FRESH, KEPT = ("application/json", "text/html", ""), ("text/css", "text/javascript")
"""What is made anew for each request, and what stays the same; Dash's answers to its callbacks are
JSON, and say nothing of it."""

LEAST = {**dict.fromkeys(FRESH, 16_384), **dict.fromkeys(KEPT, 1_024)}
"""Bytes from which compressing is worth its while."""


class Compression:
    """Middleware that compresses whole answers, never a stream of events or rows."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and compress the answer where that is of use."""
        if scope["type"] == "http" and is_far(scope) and takes_gzip(scope):
            send = _compressed(send)
        await self._app(scope, receive, send)


def is_far(scope: Scope) -> bool:
    """Whether the request comes from another machine."""
    try:
        return not ipaddress.ip_address(scope["client"][0]).is_loopback
    except (KeyError, TypeError, ValueError):
        return False  # through a socket file, or a test


def takes_gzip(scope: Scope) -> bool:
    """Whether the reader says that it can read gzip."""
    said = Headers(scope=scope).get("accept-encoding", "").lower().replace(" ", "").split(",")
    return any(each.startswith("gzip") and not each.endswith(";q=0") for each in said)


def _compressed(send: Send) -> Send:
    held: Message | None = None

    async def sent(message: Message) -> None:
        nonlocal held
        if message["type"] == "http.response.start":
            held = message
            return
        if held is not None:
            start, held = held, None
            headers = MutableHeaders(scope=start)
            kind = headers.get("content-type", "").partition(";")[0]
            if kind in LEAST:
                headers.add_vary_header("Accept-Encoding")
                body = message.get("body", b"")
                if (
                    not message.get("more_body")
                    and len(body) >= LEAST[kind]
                    and "content-encoding" not in headers
                ):
                    body = await asyncio.to_thread(_kept if kind in KEPT else _fresh, body)
                    headers["Content-Encoding"] = "gzip"
                    headers["Content-Length"] = str(len(body))
                    message = {**message, "body": body}
            await send(start)
        await send(message)

    return sent


def _fresh(body: bytes) -> bytes:
    return gzip.compress(body, 1)


@lru_cache(64)
def _kept(body: bytes) -> bytes:
    """As small as can be: it takes long, and is done once."""
    return gzip.compress(body, 9)
