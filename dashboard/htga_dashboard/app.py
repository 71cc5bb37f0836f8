"""The dashboard as an application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import SplitResult, unquote, urlsplit

from dash import ClientsideFunction, Dash, Input, Output, State, html
from dash.development.base_component import Component
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from htga_dashboard import ids, shell
from htga_dashboard.comparison import MOST, Comparison
from htga_dashboard.document import serve
from htga_dashboard.forward import forward
from htga_dashboard.pages import compare, message, query, run, runs
from htga_dashboard.source import NotFoundError, Source, SourceError

logger = logging.getLogger(__name__)


def create_app(
    source: Source,
    *,
    server: FastAPI | None = None,
    allowed_hosts: Sequence[str] = ("127.0.0.1", "localhost"),
) -> Dash:
    """Build the dashboard that reads from `source`.

    Args:
        source: Where runs and their values come from.
        server: The collector's application, when both share one port. Add its own routes first:
            the dashboard answers every address that is left. Without it the dashboard gets a
            server of its own, which passes the API on to the collector and closes `source` when
            it stops.
        allowed_hosts: Values of the Host header that a server of its own answers, without the port;
            a page of another site that resolves its own name to this machine is turned away.

    Returns:
        The Dash application; `.server` is what an ASGI server runs.
    """
    api = server or _own_server(source, allowed_hosts)
    app = Dash(
        "htga_dashboard",
        server=api,  # type: ignore[arg-type]  # Dash's FastAPI backend takes any FastAPI
        title="HTGA",
        update_title="",
        assets_ignore=r"theme\.js",
        add_log_handler=False,
        on_error=_log,
    )
    app.layout = shell.layout()
    pages = html.Div(
        [
            shell.layout(),
            runs.layout([], url=""),
            run.validation_layout(),
            compare.layout(Comparison(), [], []),
            query.layout("", url=""),
        ]
    )
    app.validation_layout = pages  # type: ignore[assignment]  # Dash declares it to be None
    _register(app, source)
    runs.register(app, source)
    run.register(app, source)
    compare.register(app, source)
    query.register(app, source)
    serve(app, api, source)
    return app


async def page(href: str, source: Source) -> Component:
    """The page at the address `href`."""
    url = urlsplit(href)
    try:
        found = await _page_at(url, source)
    except NotFoundError:
        return message.layout(
            "No such run", "The collector knows no run of this id. It may have been deleted."
        )
    except SourceError as error:
        return message.layout("The collector does not answer", f"{error}", passing=True)
    return found or message.layout("No such page", f"There is nothing at {unquote(url.path)}.")


async def _page_at(url: SplitResult, source: Source) -> Component | None:
    origin = f"{url.scheme}://{url.netloc}"
    match url.path.strip("/").split("/"):
        case [""]:
            return runs.layout(await source.newest(runs.SHOWN), url.query, url=origin)
        case ["run", run_id]:
            found, happened = await asyncio.gather(
                source.run(unquote(run_id)), source.events(unquote(run_id))
            )
            return run.layout(found, url.query, happened)
        case ["compare"]:
            how = Comparison.from_query(url.query)
            several = await source.several(how.runs[:MOST])
            return compare.layout(how, several, await source.newest(compare.CHOICE))
        case ["query"]:
            return query.layout(url.query, url=origin)
    return None


def _register(app: Dash, source: Source) -> None:
    @app.callback(Output(ids.PAGE, "children"), Input(ids.URL, "pathname"), State(ids.URL, "href"))
    async def route(_path: str, href: str) -> Component:
        return await page(href, source)

    app.clientside_callback(
        ClientsideFunction("htga", "arrived"),
        Input(ids.PAGE, "children"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "chooseTheme"),
        Output(ids.THEME, "data"),
        *(Output(id_, "aria-pressed") for id_ in ids.THEME_CHOICES.values()),
        *(Input(id_, "n_clicks") for id_ in ids.THEME_CHOICES.values()),
    )


def _log(error: Exception) -> None:
    """Say what went wrong in a callback, whose components then stay as they are."""
    logger.error("a callback of the dashboard failed", exc_info=error)


def _own_server(source: Source, allowed_hosts: Sequence[str]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_server: FastAPI) -> AsyncIterator[None]:
        async with source:
            yield

    server = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    server.add_middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts))
    forward(server, source)
    return server
