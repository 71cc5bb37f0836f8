"""The table of runs, the newest first; rows follow their runs while these train."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, parse_qs

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from htga_dashboard.components import ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.components.controls import dropdown, field, multi_dropdown, options
from htga_dashboard.http.root_path import link
from htga_dashboard.pages.runs import bulk_actions
from htga_dashboard.pages.runs.load import PAGE, Found, changes, find
from htga_dashboard.pages.runs.table import grid
from htga_dashboard.source.source import Source

MAIN = "main"
COLUMNS = {MAIN: "the main ones", "settings": "and the settings that differ"}

SNIPPET = """import htga
run = htga.telemetry.attach(optimizer, url="{url}")
...  # your training loop, as it is"""


def layout(found: Found, query: str = "", *, url: str) -> Component:
    """The page with a row for each run found, or with instructions if there is no run at all.

    Args:
        found: The result of the search.
        query: The query of its address: search, groups, columns.
        url: Address of this server, as the reader's browser knows it.
    """
    return html.Div(
        [
            dcc.Store(id=ids.RUNS_NEWS),
            dcc.Store(
                id=ids.RUNS_CHANGES, data={"rows": [], "gone": [], "all": False} | found.counts
            ),
            dcc.Store(id=ids.RUNS_SHOWN, data=found.shown),
            dcc.Store(id=ids.RUNS_LIMIT, data=found.limit),
            html.Header(
                [
                    html.H1("Runs"),
                    html.Span(id=ids.RUNS_COUNT, className="count"),
                    html.Button(
                        f"Load {PAGE:,} more",
                        id=ids.RUNS_MORE,
                        className="link",
                        hidden=True,
                        **attributes(data_more=str(PAGE)),
                    ),
                    html.Span(id=ids.RUNS_HINT, className="error", role="status"),
                ],
                className="title",
            ),
            _controls(found, parse_qs(query)),
            bulk_actions.layout(),
            _empty(url),
            grid(found.runs),
        ],
        id=ids.RUNS_BODY,
        className="page runs",
        **attributes(
            data_title="Runs",
            data_news=ids.RUNS_NEWS,
            data_rows=str(found.total),
            data_marked="0",
        ),
    )


async def read(source: Source, url: SplitResult) -> Component:
    """Load the page."""
    q = parse_qs(url.query).get("q", [""])[0]
    found = await find(source, q, PAGE)
    return layout(found, url.query, url=f"{url.scheme}://{url.netloc}{link('')}")


def register(app: Dash, source: Source) -> None:
    """Register the callbacks: search, update rows, group, and act on selected runs."""

    @app.callback(
        Output(ids.RUNS_CHANGES, "data"),
        Output(ids.RUNS_GROUP, "options"),
        Input(ids.RUNS_NEWS, "data"),
        State(ids.RUNS_SEARCH, "value"),
        State(ids.RUNS_LIMIT, "data"),
        State(ids.RUNS_SHOWN, "data"),
        State(ids.RUNS_GROUP, "value"),
        prevent_initial_call=True,
    )
    async def reload(
        news: dict[str, Any], q: str | None, limit: int, shown: list[Any], by: list[str] | None
    ) -> Any:
        changed, found = await changes(source, news["runs"], q or "", limit, shown)
        return changed, no_update if found is None else options(found.settings, by or [])

    app.clientside_callback(
        ClientsideFunction("htga", "applyChanges"),
        Output(ids.RUNS_HINT, "children"),
        Output(ids.RUNS_SHOWN, "data"),
        Input(ids.RUNS_CHANGES, "data"),
        State(ids.RUNS_GRID, "id"),
    )
    app.clientside_callback(
        ClientsideFunction("htga", "groupRuns"),
        Input(ids.RUNS_GROUP, "value"),
        Input(ids.RUNS_SETTINGS, "value"),
        State(ids.RUNS_GRID, "id"),
    )
    app.clientside_callback(
        ClientsideFunction("htga", "loadMoreRuns"),
        Output(ids.RUNS_LIMIT, "data"),
        Input(ids.RUNS_MORE, "n_clicks"),
        State(ids.RUNS_LIMIT, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "searchRuns"),
        Input(ids.RUNS_SEARCH, "value"),
        Input(ids.RUNS_LIMIT, "data"),
        prevent_initial_call=True,
    )
    bulk_actions.register(app, source)


def _controls(found: Found, params: dict[str, list[str]]) -> Component:
    names = found.settings
    by = [name for name in params.get("by", []) if name in names]
    return html.Div(
        [
            field(
                "Search",
                dcc.Input(
                    id=ids.RUNS_SEARCH,
                    type="search",
                    value=found.q,
                    placeholder="maple  state:running  lr<0.01  -tag:old",
                    debounce=False,
                    autoComplete="off",
                ),
                wide=True,
            ),
            field("Group by", multi_dropdown(ids.RUNS_GROUP, names, by, "nothing")),
            field(
                "Columns", dropdown(ids.RUNS_SETTINGS, COLUMNS, params.get("columns", [MAIN])[0])
            ),
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
