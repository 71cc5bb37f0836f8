"""The HTML document that every page arrives in, and the addresses that answer with it."""

from __future__ import annotations

from importlib.metadata import version

from dash import Dash
from dash.backends._fastapi import reset_current_request, set_current_request
from fastapi import FastAPI, HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from htga_dashboard.source import Source, SourceError

INDEX = """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <title>{%title%}</title>
    <link rel="icon" type="image/svg+xml" href="/assets/mark.svg">
    <script src="/assets/theme.js?v=VERSION"></script>
    {%css%}
  </head>
  <body>
    {%app_entry%}
    <footer>{%config%}{%scripts%}{%renderer%}</footer>
  </body>
</html>
"""
"""The theme is chosen by a script of its own before anything is painted, so nothing flashes."""


def serve(app: Dash, server: FastAPI, source: Source) -> None:
    """Answer the addresses of the pages on `server`, and any that nobody else answers.

    Call it when all callbacks are registered: the content security policy lists their scripts.
    """
    app.index_string = INDEX.replace("VERSION", version("htga"))
    policy = "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {' '.join(app.csp_hashes())}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )

    async def document(request: Request) -> Response:
        path = request.url.path
        if path.startswith("/api/"):
            raise HTTPException(404, f"there is nothing at {path}")
        token = set_current_request(request)
        try:
            content = app.index()
        finally:
            reset_current_request(token)
        known = path == "/" or path.startswith("/run/")
        return HTMLResponse(
            content,
            status_code=200 if known else 404,
            headers={"Content-Security-Policy": policy, "Cache-Control": "no-cache"},
        )

    async def latest(_request: Request) -> Response:
        try:
            newest = await source.newest(1)
        except SourceError:
            newest = []  # the table of runs says why
        return RedirectResponse(f"/run/{newest[0].id}" if newest else "/")

    # Before Dash's own answer to "/", which knows no policy; the last one after every other.
    server.router.routes.insert(0, Route("/", document))
    server.add_route("/run/latest", latest)
    server.add_route("/{path:path}", document)
