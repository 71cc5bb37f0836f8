"""The HTML document around every page, its headers, and the routes that serve it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version

import orjson
from dash import Dash
from dash.development.base_component import Component
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from htga_client.wire import ROOT_PATH, TOKEN_COOKIE
from htga_dashboard.figures import plotly_script
from htga_dashboard.http.compression import Compression
from htga_dashboard.http.root_path import link, root_path
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

INDEX = """<!DOCTYPE html>
<html lang="en" data-root="ROOT" data-plotly="ROOTPLOTLY" data-tables="TABLES">
  <head>
    {%metas%}
    <title>{%title%}</title>
    <link rel="icon" type="image/svg+xml" href="ROOT/assets/mark.svg">
    <script src="ROOT/assets/theme.js?v=VERSION"></script>
    <script src="ROOT/assets/early.js?v=VERSION"></script>
    {%css%}
  </head>
  <body>
    {%app_entry%}
    <footer>{%config%}{%scripts%}{%renderer%}</footer>
  </body>
</html>
"""
"""Two scripts come before all others: one chooses the theme before the first paint, the other
requests the page in that theme while the rest loads."""

LAYOUT = "/_layout"

STATUS = "htga_dashboard.status"
"""Key of an ASGI scope with the status of the document."""


def serve(
    app: Dash,
    server: FastAPI,
    source: Source,
    pages: Sequence[str],
    layout: Callable[[str, str, bool], Awaitable[Component]],
) -> None:
    """Serve the document at every path of `server` that has no route yet.

    The status is 200 for the `pages` and for runs, and 404 for all other paths. `assets/early.js`
    requests the `layout` at an address in a theme, which also depends on whether the browser has
    a token to log out.

    Call it after all callbacks are registered: the content security policy lists their scripts.
    """
    app.index_string = INDEX.replace("VERSION", version("htga")).replace(
        "PLOTLY", plotly_script.PATH
    )
    server.add_middleware(Document, policy=_policy(app.csp_hashes()))
    server.add_middleware(Compression)

    async def latest(_request: Request) -> Response:
        try:
            newest = await source.newest(1)
        except SourceError:
            newest = []  # the table of runs shows the error
        return RedirectResponse(link(f"/run/{newest[0].id}" if newest else "/"))

    async def layout_at(request: Request) -> Response:
        query = request.query_params
        has_token = TOKEN_COOKIE in request.cookies
        page = await layout(query.get("href", "/"), query.get("theme", "light"), has_token)
        content = orjson.dumps(page, default=Component.to_plotly_json)
        return Response(
            content, media_type="application/json", headers={"Cache-Control": "no-store"}
        )

    server.router.routes.append(Route(LAYOUT, layout_at))
    server.router.routes.append(Route("/run/latest", latest))
    server.router.routes.append(Route(plotly_script.PATH, plotly_script.send))
    for path in ("/run/{run_id}", *pages):
        server.router.routes.append(Route(path, AliasDocument(server, status=200), methods=["GET"]))
    nothing = Route("/{path:path}", AliasDocument(server, status=404), methods=["GET"])
    server.router.routes.append(nothing)


WORKER = "/assets/stream.js"
WORKER_POLICY = "default-src 'self'"
"""A worker obeys the policy of its own script; this one must reach the collector."""


class Document:
    """Middleware that sets the root path, and the headers of the document and of the worker."""

    def __init__(self, app: ASGIApp, *, policy: str) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and set the headers of responses at the two paths."""

        async def send_document(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self._policy
                headers["Cache-Control"] = "no-cache"
                if message["status"] == 200:
                    message["status"] = scope.get(STATUS, 200)
            await send(message)

        async def send_worker(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = WORKER_POLICY
            await send(message)

        senders: dict[str, Send] = {"/": send_document, WORKER: send_worker}
        path = scope["path"] if scope["type"] == "http" else ""
        token = root_path.set(scope.get(ROOT_PATH, ""))
        try:
            await self._app(scope, receive, senders.get(path, send))
        finally:
            root_path.reset(token)


class AliasDocument:
    """Serves the document at another path than "/", by asking the server for "/" again.

    Dash prepares the document only for requests to "/"; its script reads the real path.
    """

    def __init__(self, server: ASGIApp, *, status: int) -> None:
        self._server = server
        self._status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Request "/" instead; for a HEAD request the server itself drops the body."""
        status = 200 if scope["path"] == "/" else self._status
        there = {**scope, "method": "GET", "path": "/", "raw_path": b"/", STATUS: status}
        await self._server(there, receive, send)


def _policy(script_hashes: Sequence[str]) -> str:
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {' '.join(script_hashes)}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
