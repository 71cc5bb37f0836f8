"""Whose pages a dashboard on its own answers."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

SAFE = {"GET", "HEAD", "OPTIONS"}


class SameOrigin:
    """Middleware that refuses requests which a page of another site has made.

    The dashboard changes runs with the token that it was given, so a page that merely knows its
    address must not be able to speak through it. With the collector on the same port it is the
    collector's gate that sees to this.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what a page of our own, or no page at all, has sent."""
        if scope["type"] == "lifespan" or scope.get("method") in SAFE or self._is_ours(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            refusal = PlainTextResponse("pages of another origin are not answered", 403)
            await refusal(scope, receive, send)

    @staticmethod
    def _is_ours(scope: Scope) -> bool:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}
        return origin.partition("://")[2].lower() == headers.get("host", "").lower()
