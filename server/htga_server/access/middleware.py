"""The guard that every request passes before any route, WebSockets included.

It refuses foreign hosts and origins, bodies that are too large or too slow, and requests without a
valid token where one is required. `htga_server.api.permissions` says which scope a route needs.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from htga_client.wire import PREFIX, TOKEN_COOKIE
from htga_server import problems
from htga_server.access import header_limits, tokens
from htga_server.access.origin import SAFE_METHODS, check_origin
from htga_server.access.pages import login_page, refusal_page
from htga_server.access.rate_limits import (
    TOO_MANY_FAILURES,
    ClientUsage,
    Failures,
    RateLimits,
    client_address,
)
from htga_server.access.tokens import EVERYTHING, Grant
from htga_server.problems import BadRequest, ServerError, problem_response
from htga_server.settings import Settings
from htga_server.storage.database import Database

SCOPE_GRANT = "htga.grant"
"""The key of an ASGI scope that holds the grant of its sender."""
PUBLIC_PATHS = ("/healthz", "/login", "/logout")
"""Paths that need no token."""
LIVE_PATH = f"{PREFIX}/live"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # With "no-referrer" browsers would send our own forms from the origin "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"
reader: contextvars.ContextVar[str | None] = contextvars.ContextVar("reader", default=None)
"""The token of the current request, for the dashboard's own requests to the API."""


class RequestGuard:
    """ASGI middleware; see the module.

    Args:
        failures: Counts wrong tokens, also those of the login page.
        clock: Seconds, for the rates of requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        database: Database,
        failures: Failures,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._settings = settings
        self._database = database
        self._grants = tokens.GrantCache()
        self._failures = failures
        self._rates = RateLimits(settings, clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        token = token_of(headers)
        refusal = header_limits.check(scope) or check_origin(scope, headers, self._settings)
        grant: Grant | None = EVERYTHING
        required = self._settings.require_tokens and scope["path"] not in PUBLIC_PATHS
        if refusal is None and required:
            grant = await self._authenticate(token)
            if grant is None:
                refusal = self._reject_token(scope, sent=token is not None)
        if refusal is not None:
            await self._refuse(refusal, scope, receive, send)
            return
        scope[SCOPE_GRANT] = grant
        if not required or token is None or reader.get() is not None or _is_part_of_page(scope):
            # No valid token to limit, or a request by the dashboard for one that was counted.
            await self._forward(token, None, scope, receive, send)
            return
        usage = self._rates.usage(token.split("_")[1])
        if (too_fast := self._rates.check(usage)) is not None:
            detail, seconds = too_fast
            late = BadRequest(detail, status=429, slug="too-fast")
            late.headers = {"Retry-After": str(seconds)}
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

    async def _authenticate(self, token: str | None) -> Grant | None:
        if token is None:
            return None
        grant = self._grants.get(token)
        if grant is None:
            grant = await self._database.read(lambda connection: tokens.find(connection, token))
            if grant is not None:
                self._grants.put(token, grant)
        return grant

    def _reject_token(self, scope: Scope, *, sent: bool) -> ServerError:
        if sent and self._failures.too_many(client_address(scope)):
            late = BadRequest(TOO_MANY_FAILURES, status=429, slug="too-many-failures")
            late.headers = {"Retry-After": "60"}
            return late
        refusal = BadRequest(
            "bring a valid token as Authorization: Bearer htga_...; `htga token create` makes one",
            status=401,
            slug="unauthorized",
        )
        refusal.headers = {"WWW-Authenticate": "Bearer"}
        return refusal

    async def _refuse(
        self, refusal: ServerError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        headers = Headers(scope=scope)
        answer: Response = problem_response(
            refusal.status, str(refusal), slug=refusal.slug, headers=refusal.headers
        )
        if "text/html" in headers.get("accept", ""):
            if refusal.status != 401:
                answer = refusal_page(str(refusal), refusal.status)
                answer.headers.update(refusal.headers)
            else:
                sent = token_of(headers) is not None
                message = "That token is not valid (any more)." if sent else ""
                answer = login_page(scope, message, 401, next_path=_address(scope), forget=sent)
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
    """Return what a request brings as its token, in its Authorization header or its cookie."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(TOKEN_COOKIE)
        except CookieError:
            return None
        token = "" if cookie is None else cookie.value
    return token.strip() or None


def _is_part_of_page(scope: Scope) -> bool:
    """Whether it asks for a document, a script or a style; a page needs dozens of them at once."""
    return scope.get("method") in SAFE_METHODS and not scope["path"].startswith("/api/")


def _address(scope: Scope) -> str:
    """Path and query of a page, to come back to."""
    if scope["method"] not in SAFE_METHODS:
        return "/"
    query = scope["query_string"].decode("latin-1")
    return quote(scope["path"]) + (f"?{query}" if query else "")


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
