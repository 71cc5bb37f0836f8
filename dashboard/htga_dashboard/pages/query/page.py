"""SQL over all runs, live and archived: ask, look, take away."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlencode

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.wire import SCALARS
from htga_dashboard.components import ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.pages.query import result_table as answer
from htga_dashboard.pages.query.body import SHOWN, refusal, result, snippet
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

TAKEN = 100_000
"""Rows in a file at most; more are for `htga query` or the Python client."""

EXAMPLES = {
    "The heaviest tail of each run": (
        "SELECT project, run, min(alpha_bar) AS heaviest, count(*) AS steps\n"
        "FROM steps WHERE layer = ''\n"
        "GROUP BY ALL ORDER BY heaviest"
    ),
    "Steps with a spike of the gradient norm": (
        "SELECT run, step, grad_norm\n"
        "FROM steps WHERE layer = ''\n"
        "QUALIFY grad_norm > 10 * median(grad_norm) OVER (PARTITION BY run_id)\n"
        "ORDER BY grad_norm DESC"
    ),
    "Last value of every metric": (
        "SELECT project, run, key, max_by(value, step) AS last\n"
        "FROM metrics GROUP BY ALL ORDER BY ALL"
    ),
    "Runs in the archive": (
        "SELECT name, project, state, last_step, to_timestamp(created) AS started\n"
        "FROM runs WHERE archived ORDER BY created DESC"
    ),
}

TABLES = {
    "runs": "id, project, name, group, tags, config, notes, state, created, last_step, archived",
    "steps": f"run_id, project, run, step, layer, rank, attempt, time, {', '.join(SCALARS)}",
    "metrics": "run_id, project, run, step, key, value, rank, attempt, time",
}
"""Columns worth knowing of what can be asked."""


def layout(query: str, *, url: str) -> Component:
    """The page.

    Args:
        query: What stands in its address after the "?"; `sql` is asked at once.
        url: Address of this server, as the reader's browser knows it.
    """
    sql = parse_qs(query).get("sql", [""])[0]
    return html.Div(
        [
            dcc.Store(id=ids.QUERY_URL, data=url),
            dcc.Store(id=ids.QUERY_ADDRESS),
            dcc.Download(id=ids.QUERY_FILE),
            html.Header(html.H1("Query"), className="title"),
            html.Div([_question(sql), _reference()], className="asking-grid"),
            html.Section(id=ids.QUERY_RESULT, **attributes(aria_live="polite")),
        ],
        className="page query",
        **attributes(data_title="Query"),
    )


def _question(sql: str) -> Component:
    """Where it is written; asked at once if it stands in the address."""
    field = dcc.Textarea(
        id=ids.QUERY_SQL,
        value=sql or next(iter(EXAMPLES.values())),
        spellCheck=False,
        className="sql",
    )
    ask = html.Button("Ask", id=ids.QUERY_ASK, className="button primary", n_clicks=1 if sql else 0)
    return html.Article(
        [
            html.Label([html.Span("SQL", className="unseen"), field]),
            html.Div([ask, html.Span("Ctrl + Enter", className="hint")], className="asking"),
        ],
        className="card question",
    )


def _reference() -> Component:
    """Examples to begin with, and what can be asked."""
    examples = [
        html.Li(html.Button(name, id=ids.example(name), className="example")) for name in EXAMPLES
    ]
    tables = [html.Div([html.Dt(name), html.Dd(fields)]) for name, fields in TABLES.items()]
    return html.Article(
        [
            html.Header(html.H2("Examples")),
            html.Ul(examples, className="examples"),
            html.Header(html.H2("Tables")),
            html.Dl(tables, className="tables"),
        ],
        className="card",
    )


async def read(_source: Source, url: SplitResult) -> Component:
    """The page; it asks when the browser does."""
    return layout(url.query, url=f"{url.scheme}://{url.netloc}")


def register(app: Dash, source: Source) -> None:
    """Ask, fill in examples, and hand out files."""
    _register_asking(app, source)
    _register_files(app, source)


def _register_asking(app: Dash, source: Source) -> None:
    @app.callback(
        Output(ids.QUERY_RESULT, "children"),
        Output(ids.QUERY_ADDRESS, "data"),
        Input(ids.QUERY_ASK, "n_clicks"),
        State(ids.QUERY_SQL, "value"),
        State(ids.QUERY_URL, "data"),
    )
    async def ask(clicks: int, sql: str, url: str) -> Any:
        if not clicks:
            return no_update, no_update
        address = f"?{urlencode({'sql': sql})}"
        try:
            table = await source.query(sql, limit=SHOWN)
        except SourceError as error:
            return refusal(str(error)), address
        shown = await asyncio.to_thread(result, table)
        return [*shown, snippet(sql, url)], address

    @app.callback(
        Output(ids.QUERY_SQL, "value"),
        Input({"type": ids.EXAMPLE, "name": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    async def fill(clicks: list[int | None]) -> Any:
        if not any(clicks) or not isinstance(ctx.triggered_id, dict):
            return no_update
        return EXAMPLES[ctx.triggered_id["name"]]

    app.clientside_callback(
        ClientsideFunction("htga", "keepAddress"),
        Input(ids.QUERY_ADDRESS, "data"),
        prevent_initial_call=True,
    )


def _register_files(app: Dash, source: Source) -> None:
    @app.callback(
        Output(ids.QUERY_FILE, "data"),
        Input({"type": ids.EXPORT, "name": ALL}, "n_clicks"),
        State(ids.QUERY_SQL, "value"),
        prevent_initial_call=True,
    )
    async def take(clicks: list[int | None], sql: str) -> Any:
        if not any(clicks) or not isinstance(ctx.triggered_id, dict):
            return no_update
        kind = ctx.triggered_id["name"]
        table = await source.query(sql, limit=TAKEN)
        content = await asyncio.to_thread(answer.file, table, kind)
        return {
            "content": b64encode(content).decode("ascii"),
            "base64": True,
            "filename": f"htga.{kind}",
            "type": answer.MEDIA[kind],
        }
