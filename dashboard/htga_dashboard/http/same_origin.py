"""Protection of a dashboard in a process of its own against requests by pages of other sites."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

SAFE = {"GET", "HEAD", "OPTIONS"}


class SameOrigin:
    """Middleware that refuses requests from pages of other sites.

    The dashboard changes runs with its own token, so a foreign page that knows its address could
    act through it. With the collector on the same port, the collector's request guard checks this.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests from our own pages and from other programs."""
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
        # Only a browser sets this header, and it knows the port and the scheme, which a proxy may
        # hide. It leaves the header out on http, but on this machine.
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in {"same-origin", "none"}
        origin = headers.get("origin")
        host = headers.get("host", "").lower()
        return origin is None or origin.partition("://")[2].lower() == host
