"""The table of runs, newest first, each row as fresh as its run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, parse_qs

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from htga_client.wire import Run
from htga_dashboard.components import ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.components.controls import field, one, several
from htga_dashboard.models.config import GROUP
from htga_dashboard.models.differences import differing
from htga_dashboard.pages.runs import bulk_actions as bulk
from htga_dashboard.pages.runs.table import grid, row
from htga_dashboard.source.http import NotFoundError, SourceError
from htga_dashboard.source.source import Source

SHOWN = 1000
"""Runs in the table at most; the collector keeps the others."""

ONE_BY_ONE = 20
"""Up to this many changed runs are fetched singly, more with the whole list."""

EVERY = "*"
"""What the browser says instead of ids when any run may have changed."""

LATEST = "latest"
"""And when it asks for those that had news last, however many those are up to `ONE_BY_ONE`."""

MAIN = "main"
COLUMNS = {MAIN: "the main ones", "settings": "and the settings that differ"}

SNIPPET = """import htga
run = htga.telemetry.attach(optimizer, url="{url}")
...  # your training loop, as it is"""


def layout(runs: Sequence[Run], query: str = "", *, url: str) -> Component:
    """The page with a row for each of `runs`, or with what to do where there is none.

    Args:
        runs: Newest first.
        query: What its address says after the "?": what is searched for, and how it is grouped.
        url: Address of this server, as the reader's browser knows it.
    """
    said = parse_qs(query)
    return html.Div(
        [
            dcc.Store(id=ids.RUNS_NEWS),
            dcc.Store(id=ids.RUNS_CHANGES),
            html.Header(
                [
                    html.H1("Runs"),
                    html.Span(id=ids.RUNS_COUNT, className="count"),
                    html.Span(id=ids.RUNS_HINT, className="error", role="status"),
                ],
                className="title",
            ),
            _controls(runs, said),
            bulk.layout(),
            _empty(url),
            grid(runs),
        ],
        id=ids.RUNS_BODY,
        className="page runs",
        **attributes(
            data_title="Runs",
            data_news=ids.RUNS_NEWS,
            data_rows=str(len(runs)),
            data_marked="0",
        ),
    )


async def read(source: Source, url: SplitResult) -> Component:
    """The page as things are now."""
    origin = f"{url.scheme}://{url.netloc}"
    return layout(await source.newest(SHOWN), url.query, url=origin)


def register(app: Dash, source: Source) -> None:
    """Keep the table fresh, and searchable."""

    @app.callback(
        Output(ids.RUNS_CHANGES, "data"),
        Input(ids.RUNS_NEWS, "data"),
        prevent_initial_call=True,
    )
    async def changes(news: dict[str, Any]) -> Any:
        changed: list[str] = news["runs"]
        try:
            if EVERY in changed or len(changed) > ONE_BY_ONE:
                newest = await source.newest(SHOWN)
                return {"rows": [row(run) for run in newest], "gone": [], "all": True}
            named = [run_id for run_id in changed if run_id != LATEST]
            found = dict(zip(named, await _each(source, named), strict=True))
            if LATEST in changed:
                latest = await source.runs(limit=ONE_BY_ONE, sort="-updated")
                found |= {run.id: run for run in latest.items}
        except SourceError:
            return {"rows": [], "gone": [], "all": False}
        return {
            "rows": [row(run) for run in found.values() if run is not None],
            "gone": [run_id for run_id, run in found.items() if run is None],
            "all": False,
        }

    app.clientside_callback(
        ClientsideFunction("htga", "applyChanges"),
        Input(ids.RUNS_CHANGES, "data"),
        State(ids.RUNS_GRID, "id"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "lookAtRuns"),
        Output(ids.RUNS_HINT, "children"),
        Input(ids.RUNS_SEARCH, "value"),
        Input(ids.RUNS_GROUP, "value"),
        Input(ids.RUNS_SETTINGS, "value"),
        State(ids.RUNS_GRID, "id"),
    )
    bulk.register(app, source)


async def _each(source: Source, run_ids: Sequence[str]) -> list[Run | None]:
    return await asyncio.gather(*(_find(source, run_id) for run_id in run_ids))


async def _find(source: Source, run_id: str) -> Run | None:
    try:
        return await source.run(run_id)
    except NotFoundError:
        return None


def _controls(runs: Sequence[Run], said: dict[str, list[str]]) -> Component:
    names = [GROUP, *(row.name for row in differing(runs))]
    by = [name for name in said.get("by", []) if name in names]
    return html.Div(
        [
            field(
                "Search",
                dcc.Input(
                    id=ids.RUNS_SEARCH,
                    type="search",
                    value=said.get("q", [""])[0],
                    placeholder="maple  state:running  lr<0.01  -tag:old",
                    debounce=False,
                    autoComplete="off",
                ),
                wide=True,
            ),
            field("Group by", several(ids.RUNS_GROUP, names, by, "nothing")),
            field("Columns", one(ids.RUNS_SETTINGS, COLUMNS, said.get("columns", [MAIN])[0])),
        ],
        className="controls",
    )


def _empty(url: str) -> Component:
    return html.Div(
        [
            html.H2("No runs yet"),
            html.P("Add one line to your training loop, and this page fills itself:"),
            html.Div(
                [
                    html.Pre(SNIPPET.format(url=url), id=ids.SNIPPET),
                    dcc.Clipboard(target_id=ids.SNIPPET, title="Copy", className="copy"),
                ],
                className="snippet",
            ),
        ],
        className="empty",
    )
