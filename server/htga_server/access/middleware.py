"""The gate that every request passes first, whatever route it is for, WebSockets included.

It turns away names and origins that are not ours, what is too large or comes too slowly, and, where
tokens are asked for, whoever brings none. What a token may do on which route is
`htga_server.policy`'s.
"""

from __future__ import annotations

import asyncio
import contextvars
import ipaddress
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from htga_client.wire import ARROW_STREAM, PREFIX
from htga_server import problems
from htga_server.access import header_limits as heads
from htga_server.access import tokens
from htga_server.access.login_page import login_form
from htga_server.access.rate_limits import Failures, Rates, Share
from htga_server.access.tokens import EVERYTHING, Grant
from htga_server.settings import Settings
from htga_server.storage.database import Database

GRANT = "htga.grant"
"""Key of an ASGI scope that says what its sender may do."""
COOKIE = "htga_token"
OPEN = ("/healthz", "/login")
"""Paths that are answered to everyone."""
LIVE = f"{PREFIX}/live"
SAFE = {"GET", "HEAD", "OPTIONS"}
BODY_TYPES = {ARROW_STREAM, "application/json"}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = "default-src 'none'; frame-ancestors 'none'"
reader: contextvars.ContextVar[str | None] = contextvars.ContextVar("reader", default=None)
"""The token of the request that is being answered, for what asks the API on its behalf."""


class Gate:
    """ASGI middleware; see the module.

    Args:
        clock: Seconds, for the rate of failures.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        database: Database,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._settings = settings
        self._database = database
        self._known = tokens.Known()
        self._failures = Failures(clock)
        self._rates = Rates(settings, clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = heads.refusal(scope) or self._stranger(scope, headers)
        token = token_of(headers)
        grant: Grant | None = EVERYTHING
        if refusal is None and self._settings.require_tokens and scope["path"] not in OPEN:
            grant = await self._grant(token)
            if grant is None:
                refusal = self._unknown(scope, headers, brought_one=token is not None)
        if refusal is not None:
            await self._refuse(refusal, scope, receive, send)
            return
        scope[GRANT] = grant
        if token is None or not self._settings.require_tokens or reader.get() is not None:
            # Nobody to count for; or the dashboard, which asks while it answers a request.
            await self._pass(token, None, scope, receive, send)
            return
        share = self._rates.share(token.split("_")[1])
        put_off = self._rates.refusal(share)
        if put_off is not None:
            detail, seconds = put_off
            late = problems.answer(
                429, detail, slug="too-fast", headers={"Retry-After": str(seconds)}
            )
            await self._refuse(late, scope, receive, send)
            return
        counts = scope["path"] != LIVE  # a stream stays open without asking for anything
        share.in_flight += counts
        try:
            await self._pass(token, share, scope, receive, send)
        finally:
            share.in_flight -= counts

    async def _pass(
        self, token: str | None, share: Share | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        reset = reader.set(token)
        try:
            limited = self._limited(receive, share) if scope["type"] == "http" else receive
            await self._app(scope, limited, _with_headers(send))
        finally:
            reader.reset(reset)

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request under a name, from a page or of a kind that is not ours."""
        hosts = headers.getlist("host")
        host = host_name(hosts[0]) if len(hosts) == 1 else None
        if host is None or host not in {name.lower() for name in self._settings.allowed_hosts}:
            return problems.answer(
                400,
                "this Host is not answered; the operator lists names in HTGA_ALLOWED_HOSTS",
                slug="unknown-host",
            )
        secure = scope["scheme"] in {"https", "wss"}
        own = f"{'https' if secure else 'http'}://{hosts[0].lower()}"
        for origin in headers.getlist("origin"):
            if origin.lower() not in {own, *self._settings.allowed_origins}:
                return problems.answer(
                    403, "pages of another origin are not answered", slug="foreign-origin"
                )
        if headers.get("sec-fetch-site") == "cross-site" and scope.get("method") not in SAFE:
            return problems.answer(403, "sent by another site", slug="foreign-origin")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["path"].startswith("/api/") and kind and kind not in BODY_TYPES:
            wanted = " or ".join(sorted(BODY_TYPES))
            return problems.answer(
                415, f"Content-Type must be {wanted}", slug="unsupported-media-type"
            )
        return None

    async def _grant(self, token: str | None) -> Grant | None:
        if token is None:
            return None
        grant = self._known.get(token)
        if grant is None:
            grant = await self._database.read(lambda connection: tokens.find(connection, token))
            if grant is not None:
                self._known.keep(token, grant)
        return grant

    def _unknown(self, scope: Scope, headers: Headers, *, brought_one: bool) -> Response:
        who = scope["client"][0] if scope.get("client") else ""
        if brought_one and self._failures.too_many(who):
            return problems.answer(
                429,
                "too many wrong tokens from this address; wait a minute",
                slug="too-many-failures",
                headers={"Retry-After": "60"},
            )
        if scope["type"] == "http" and "text/html" in headers.get("accept", ""):
            return login_form("" if not brought_one else "That token is not valid (any more).", 401)
        return problems.answer(
            401,
            "bring a valid token as Authorization: Bearer htga_...; `htga token create` makes one",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _refuse(self, answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        await answer(scope, receive, _with_headers(send))

    def _limited(self, receive: Receive, share: Share | None) -> Receive:
        """`receive` that counts a body, for its length is a claim, and the time that it takes."""
        limit, seconds, size = self._settings.body_limit, self._settings.body_seconds, 0
        until = asyncio.get_running_loop().time() + seconds
        is_whole = False

        async def counted() -> Message:
            nonlocal size, is_whole
            try:
                # After a body comes the client's leaving, which may take as long as it likes.
                async with asyncio.timeout_at(None if is_whole else until):
                    message = await receive()
            except TimeoutError:
                raise problems.too_slow(seconds) from None
            is_whole = not message.get("more_body", False)
            came = len(message.get("body", b""))
            size += came
            if share is not None:
                share.bytes.take(came)
            if size > limit:
                raise problems.too_large(limit, size)
            return message

        return counted


def token_of(headers: Mapping[str, str]) -> str | None:
    """The token of a request: a bearer's, or the one a browser keeps as a cookie."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie is not None and cookie.value else None


@lru_cache(1024)
def host_name(host: str) -> str | None:
    """The name in a Host header, in lower case and without its port; None if it is no such header.

    A name is compared whole, never by a pattern: "127.0.0.1.evil.example" is not 127.0.0.1.
    """
    if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[0-9a-zA-Z_.-]+)(:\d{1,5})?", host):
        return None
    try:
        name = urlsplit(f"//{host}").hostname
        return str(ipaddress.ip_address(name)) if name and ":" in name else name
    except ValueError:
        return None


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Content-Security-Policy", POLICY)
            headers.add_vary_header("Origin")
        await send(message)

    return sent
