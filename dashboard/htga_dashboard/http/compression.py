"""Gzip for readers on other machines; on this machine compressing takes longer than sending.

Behind a proxy the reader's address is the one that the proxy names in X-Forwarded-For.
"""

from __future__ import annotations

import gzip
import ipaddress
from functools import lru_cache

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipResponder
from starlette.types import ASGIApp, Receive, Scope, Send

from htga_client.wire import ARROW_STREAM

MIN_BYTES = 1_024
EXCLUDED = (*DEFAULT_EXCLUDED_CONTENT_TYPES, ARROW_STREAM)
SCRIPTS = ("text/css", "text/javascript")
"""Content that never changes while the server runs: compressed once, as small as possible."""


class Compression:
    """Middleware that compresses responses to other machines, but no event stream and no Arrow."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, compressed where the reader is far and accepts gzip."""
        app = self._app
        if scope["type"] == "http" and is_far(scope) and accepts_gzip(scope):
            app = _Responder(app, MIN_BYTES, compresslevel=1, exclude_content_types=EXCLUDED)
        await app(scope, receive, send)


class _Responder(GZipResponder):
    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        headers = Headers(raw=self.initial_message["headers"])
        is_whole = headers.get("content-length") == str(len(body))
        if is_whole and headers.get("content-type", "").startswith(SCRIPTS):
            return await run_in_threadpool(_smallest, body)
        return await super().apply_compression(body, more_body=more_body)


def is_far(scope: Scope) -> bool:
    """Whether the request comes from another machine."""
    try:
        return not ipaddress.ip_address(scope["client"][0]).is_loopback
    except (KeyError, TypeError, ValueError):
        return False  # through a socket file, or a test


def accepts_gzip(scope: Scope) -> bool:
    """Whether the request accepts gzip, which Starlette assumes even for `gzip;q=0`."""
    codings = Headers(scope=scope).get("accept-encoding", "").lower().replace(" ", "").split(",")
    return any(coding.startswith("gzip") and not coding.endswith(";q=0") for coding in codings)


_smallest = lru_cache(64)(gzip.compress)
