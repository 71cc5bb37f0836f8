"""A line of JSON for each request, under an id that its answer carries."""

from __future__ import annotations

import json
import logging
import secrets
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from htga_server.http.metrics import Metrics

logger = logging.getLogger("htga.access")
REQUEST_ID = "X-Request-ID"


class AccessLog:
    """ASGI middleware that times, counts and logs every request.

    The id of a request is made here, never taken from the request, and everything else in the log
    is escaped by JSON.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, name, status = time.perf_counter(), secrets.token_hex(8), 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = name
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            seconds = time.perf_counter() - begin
            route = _route(scope)
            self._metrics.count_request(_method(scope), route, status, seconds)
            level = logging.ERROR if status == 500 else logging.INFO
            if logger.isEnabledFor(level):
                line = {
                    "request": name,
                    "method": scope["method"],
                    "path": scope["path"],
                    "route": route,
                    "status": status,
                    "ms": round(seconds * 1e3, 1),
                    "client": scope["client"][0] if scope.get("client") else None,
                }
                logger.log(level, "%s", json.dumps(line), extra={"request": line})


def _route(scope: Scope) -> str:
    """Return the path of the route; all unknown paths share one label to bound their number."""
    return getattr(scope.get("route"), "path", None) or "other"


def _method(scope: Scope) -> str:
    known = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    return scope["method"] if scope["method"] in known else "other"
