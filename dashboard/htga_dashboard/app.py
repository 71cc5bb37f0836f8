"""The dashboard as an ASGI application: its pages, callbacks and server."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, html
from dash.development.base_component import Component
from dash.exceptions import DependencyException
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from htga_dashboard.components import ids, shell
from htga_dashboard.figures import theme
from htga_dashboard.http.dash_scripts import Dashboard, no_script
from htga_dashboard.http.document import serve
from htga_dashboard.http.proxy import forward
from htga_dashboard.http.root_path import local
from htga_dashboard.http.same_origin import SameOrigin
from htga_dashboard.models.comparison import Comparison
from htga_dashboard.models.experiment import View
from htga_dashboard.pages import message
from htga_dashboard.pages.compare import page as compare
from htga_dashboard.pages.experiments import page as experiments
from htga_dashboard.pages.health import page as health
from htga_dashboard.pages.query import page as query
from htga_dashboard.pages.run import page as run
from htga_dashboard.pages.runs import page as runs
from htga_dashboard.pages.runs.load import Found
from htga_dashboard.source.http import NotFoundError, SourceError
from htga_dashboard.source.source import Source

logger = logging.getLogger(__name__)

PAGES: dict[str, Any] = {
    "": runs,
    "compare": compare,
    "experiments": experiments,
    "query": query,
    "health": health,
}
"""The pages by the first segment of their path; the page of a run is at /run/<id>."""


def create_app(
    source: Source,
    *,
    server: FastAPI | None = None,
    allowed_hosts: Sequence[str] = ("127.0.0.1", "localhost"),
) -> Dash:
    """Build the dashboard that reads from `source`.

    Args:
        source: Access to the collector.
        server: The collector's application, when both share one port. Add its own routes first:
            the dashboard answers every other path. By default the dashboard gets its own server,
            which proxies the API to the collector and closes `source` when it stops.
        allowed_hosts: Values of the Host header, without the port, that the dashboard's own server
            accepts. This keeps out sites that resolve their own name to this machine.

    Returns:
        The Dash application; `.server` is what an ASGI server runs.
    """
    api = server or _own_server(source, allowed_hosts)
    app = Dashboard(
        "htga_dashboard",
        server=api,  # type: ignore[arg-type]  # Dash's FastAPI backend takes any FastAPI
        title="HTGA",
        update_title="",
        assets_ignore=r"(early|theme)\.js",
        add_log_handler=False,
        on_error=_log,
    )
    api.add_exception_handler(DependencyException, no_script)
    # No callback uses a websocket, yet every browser would open one.
    app.backend.websocket_capability = False
    app.layout = shell.layout()
    pages = html.Div(
        [
            shell.layout(),
            runs.layout(Found(), url=""),
            run.validation_layout(),
            compare.layout(Comparison(), [], []),
            query.layout("", url=""),
            experiments.layout(View(), []),
            health.validation_layout(),
        ]
    )
    app.validation_layout = pages  # type: ignore[assignment]  # Dash declares it to be None
    _register(app, source)
    run.register(app, source)
    for each in PAGES.values():
        each.register(app, source)
    layout = partial(at, source=source, can_log_in=server is not None)
    serve(app, api, source, [f"/{name}" for name in PAGES if name], layout)
    return app


async def at(
    href: str, theme_name: str, has_token: bool, *, source: Source, can_log_in: bool
) -> Component:
    """The shell around the page at the address `href`, in the given theme."""
    shown = await page(href, theme_name, source)
    return shell.layout(
        shown, urlsplit(href).path, theme_name, can_log_out=has_token and can_log_in
    )


async def page(href: str, theme_name: str | None, source: Source) -> Component:
    """The page at the address `href`."""
    url = urlsplit(href)
    path = local(url.path)
    try:
        found = await _page_at(path, url, theme.named(theme_name), source)
    except NotFoundError:
        return message.layout(
            "No such run", "The collector knows no run of this id. It may have been deleted."
        )
    except SourceError as error:
        return message.layout("The collector does not answer", f"{error}", passing=True)
    return found or message.layout("No such page", f"There is nothing at {unquote(path)}.")


async def _page_at(
    path: str, url: SplitResult, palette: theme.Theme, source: Source
) -> Component | None:
    match path.strip("/").split("/"):
        case ["run", run_id]:
            return await run.read(source, unquote(run_id), url, palette)
        case [name] if name in PAGES:
            found: Component = await PAGES[name].read(source, url)
            return found
    return None


def _register(app: Dash, source: Source) -> None:
    # The first page comes with the layout; this callback loads every page after it.
    @app.callback(
        Output(ids.PAGE, "children"),
        Input(ids.URL, "pathname"),
        State(ids.URL, "href"),
        State(ids.THEME, "data"),
        prevent_initial_call=True,
    )
    async def route(_path: str, href: str, theme_name: str) -> Component:
        return await page(href, theme_name, source)

    app.clientside_callback(ClientsideFunction("htga", "pageMounted"), Input(ids.PAGE, "children"))
    app.clientside_callback(
        ClientsideFunction("htga", "figures"),
        Input({"type": ids.FIGURES, "name": ALL}, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "chooseTheme"),
        Output(ids.THEME, "data"),
        *(Output(id_, "aria-pressed") for id_ in ids.THEME_CHOICES.values()),
        *(Input(id_, "n_clicks") for id_ in ids.THEME_CHOICES.values()),
        State(ids.THEME, "data"),
    )


def _log(error: Exception) -> None:
    """Log the error of a callback; its components keep their values."""
    logger.error("a callback of the dashboard failed", exc_info=error)


def _own_server(source: Source, allowed_hosts: Sequence[str]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_server: FastAPI) -> AsyncIterator[None]:
        async with source:
            yield

    server = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    server.add_middleware(SameOrigin)
    server.add_middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts))
    forward(server, source)
    return server
