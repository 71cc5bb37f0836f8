"""The guard that every request passes before any route, WebSockets included.

It refuses foreign hosts and origins, bodies that are too large or too slow, and requests without a
valid token where one is required. `htga_server.api.permissions` says which scope a route needs.
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
from htga_server.access import header_limits, tokens
from htga_server.access.login_page import login_page
from htga_server.access.rate_limits import ClientUsage, Failures, RateLimits
from htga_server.access.tokens import EVERYTHING, Grant
from htga_server.problems import problem_response
from htga_server.settings import Settings
from htga_server.storage.database import Database

SCOPE_GRANT = "htga.grant"
"""The key of an ASGI scope that holds the grant of its sender."""
COOKIE = "htga_token"
PUBLIC_PATHS = ("/healthz", "/login")
"""Paths that need no token."""
LIVE_PATH = f"{PREFIX}/live"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
BODY_TYPES = {ARROW_STREAM, "application/json"}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"
reader: contextvars.ContextVar[str | None] = contextvars.ContextVar("reader", default=None)
"""The token of the current request, for the dashboard's own requests to the API."""


class RequestGuard:
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
        self._grants = tokens.GrantCache()
        self._failures = Failures(clock)
        self._rates = RateLimits(settings, clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = header_limits.check(scope) or self._check_host_and_origin(scope, headers)
        token = token_of(headers)
        grant: Grant | None = EVERYTHING
        if refusal is None and self._settings.require_tokens and scope["path"] not in PUBLIC_PATHS:
            grant = await self._authenticate(token)
            if grant is None:
                refusal = self._reject_token(scope, headers, sent=token is not None)
        if refusal is not None:
            await self._refuse(refusal, scope, receive, send)
            return
        scope[SCOPE_GRANT] = grant
        if token is None or not self._settings.require_tokens or reader.get() is not None:
            # No token to limit, or a request by the dashboard for one that was counted already.
            await self._forward(token, None, scope, receive, send)
            return
        usage = self._rates.usage(token.split("_")[1])
        if (too_fast := self._rates.check(usage)) is not None:
            headers_sent = {"Retry-After": str(too_fast[1])}
            late = problem_response(429, too_fast[0], slug="too-fast", headers=headers_sent)
            await self._refuse(late, scope, receive, send)
            return
        counted = scope["path"] != LIVE_PATH  # a stream stays open without any work
        usage.in_flight += counted
        try:
            await self._forward(token, usage, scope, receive, send)
        finally:
            usage.in_flight -= counted

    async def _forward(
        self,
        token: str | None,
        usage: ClientUsage | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        reset = reader.set(token)
        try:
            limited = self._limit_body(receive, usage) if scope["type"] == "http" else receive
            await self._app(scope, limited, _with_headers(send))
        finally:
            reader.reset(reset)

    def _check_host_and_origin(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the refusal of a foreign host, origin or content type, or None."""
        hosts = headers.getlist("host")
        host = host_name(hosts[0]) if len(hosts) == 1 else None
        if host is None or host not in {name.lower() for name in self._settings.allowed_hosts}:
            return problem_response(
                400,
                "this Host is not answered; the operator lists names in HTGA_ALLOWED_HOSTS",
                slug="unknown-host",
            )
        secure = scope["scheme"] in {"https", "wss"}
        own = f"{'https' if secure else 'http'}://{hosts[0].lower()}"
        for origin in headers.getlist("origin"):
            if origin.lower() not in {own, *self._settings.allowed_origins}:
                return problem_response(
                    403, "pages of another origin are not answered", slug="foreign-origin"
                )
        if (
            headers.get("sec-fetch-site") == "cross-site"
            and scope.get("method") not in SAFE_METHODS
        ):
            return problem_response(403, "sent by another site", slug="foreign-origin")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["path"].startswith("/api/") and kind and kind not in BODY_TYPES:
            wanted = " or ".join(sorted(BODY_TYPES))
            return problem_response(
                415, f"Content-Type must be {wanted}", slug="unsupported-media-type"
            )
        return None

    async def _authenticate(self, token: str | None) -> Grant | None:
        if token is None:
            return None
        grant = self._grants.get(token)
        if grant is None:
            grant = await self._database.read(lambda connection: tokens.find(connection, token))
            if grant is not None:
                self._grants.put(token, grant)
        return grant

    def _reject_token(self, scope: Scope, headers: Headers, *, sent: bool) -> Response:
        who = scope["client"][0] if scope.get("client") else ""
        if sent and self._failures.too_many(who):
            return problem_response(
                429,
                "too many wrong tokens from this address; wait a minute",
                slug="too-many-failures",
                headers={"Retry-After": "60"},
            )
        if scope["type"] == "http" and "text/html" in headers.get("accept", ""):
            return login_page("" if not sent else "That token is not valid (any more).", 401)
        return problem_response(
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

    def _limit_body(self, receive: Receive, usage: ClientUsage | None) -> Receive:
        """Return a `receive` that limits the size and the time of a body as it arrives."""
        limit, seconds, size = self._settings.body_limit, self._settings.body_seconds, 0
        until = asyncio.get_running_loop().time() + seconds
        complete = False

        async def receive_counted() -> Message:
            nonlocal size, complete
            try:
                # After the body the only message is that the client left, which may take for ever.
                async with asyncio.timeout_at(None if complete else until):
                    message = await receive()
            except TimeoutError:
                raise problems.too_slow(seconds) from None
            complete = not message.get("more_body", False)
            size_of_part = len(message.get("body", b""))
            size += size_of_part
            if usage is not None:
                usage.bytes.take(size_of_part)
            if size > limit:
                raise problems.too_large(limit, size)
            return message

        return receive_counted


def token_of(headers: Mapping[str, str]) -> str | None:
    """Return the token of a request, from its Authorization header or its cookie."""
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
    """Return the name in a Host header in lower case, without its port; None if it is malformed.

    Names are compared whole, never by a pattern: "127.0.0.1.evil.example" is not 127.0.0.1.
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
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
            headers.add_vary_header("Origin")
        await send(message)

    return sent
