"""The page for SQL over all runs, live and archived."""

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
from htga_dashboard.http.root_path import link
from htga_dashboard.pages.query import result_table
from htga_dashboard.pages.query.body import SHOWN, refusal, result, snippet
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

TAKEN = 100_000
"""Maximum number of rows in a file; `htga query` and the Python client have no such limit."""

EXAMPLES = {
    "The heaviest tail of each run": (
        "SELECT project, run, run_id, min(alpha_bar) AS heaviest, count(*) AS steps\n"
        "FROM steps GROUP BY ALL ORDER BY heaviest"
    ),
    "Steps with a spike of the gradient norm": (
        "SELECT run, step, grad_norm\n"
        "FROM steps\n"
        "QUALIFY grad_norm > 10 * median(grad_norm) OVER (PARTITION BY run_id)\n"
        "ORDER BY grad_norm DESC"
    ),
    "Last value of every metric": (
        "SELECT project, run, run_id, key, max_by(value, step) AS last\n"
        "FROM metrics GROUP BY ALL ORDER BY ALL"
    ),
    "Runs in the archive": (
        "SELECT name, project, state, last_step, to_timestamp(created) AS started\n"
        "FROM runs WHERE archived ORDER BY created DESC"
    ),
}

TABLES = {
    "runs": "id, project, name, group, tags, config->>'lr', notes, state, created, archived",
    "steps": f"run_id, project, run, step, time, attempt, {', '.join(SCALARS)}, histogram",
    "layers": "the same of each layer: layer",
    "metrics": "run_id, project, run, step, key, value, attempt, time",
    "events": "run_id, project, run, step, layer, kind, level, title, text, time",
    "all_steps": "every layer, rank and attempt: layer, rank, attempt, latest; so has all_metrics",
}
"""The most useful columns of each table; those of `steps` are of the whole model."""


def layout(query: str, *, url: str) -> Component:
    """The page.

    Args:
        query: The query of its address; the SQL in its parameter `sql` runs at once.
        url: Address of this server, as the reader's browser knows it.
    """
    sql = parse_qs(query).get("sql", [""])[0]
    return html.Div(
        [
            dcc.Store(id=ids.QUERY_URL, data=url),
            dcc.Store(id=ids.QUERY_ADDRESS),
            dcc.Download(id=ids.QUERY_FILE),
            html.Header(html.H1("Query"), className="title"),
            html.Div([_editor(sql), _reference()], className="query-grid"),
            html.Section(id=ids.QUERY_RESULT, **attributes(aria_live="polite")),
        ],
        className="page query",
        **attributes(data_title="Query"),
    )


def _editor(sql: str) -> Component:
    """The editor; SQL from the address runs at once."""
    field = dcc.Textarea(
        id=ids.QUERY_SQL,
        value=sql or next(iter(EXAMPLES.values())),
        spellCheck=False,
        className="sql",
    )
    button = html.Button(
        "Run", id=ids.QUERY_RUN, className="button primary", n_clicks=1 if sql else 0
    )
    return html.Article(
        [
            html.Label([html.Span("SQL", className="unseen"), field]),
            html.Div([button, html.Span("Ctrl + Enter", className="hint")], className="actions"),
        ],
        className="card question",
    )


def _reference() -> Component:
    """Examples, and the tables with their columns."""
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
    """The page; the browser runs the query once it has loaded."""
    return layout(url.query, url=f"{url.scheme}://{url.netloc}{link('')}")


def register(app: Dash, source: Source) -> None:
    """Register the callbacks: run a query, fill in an example, download a file."""
    _register_query(app, source)
    _register_files(app, source)


def _register_query(app: Dash, source: Source) -> None:
    @app.callback(
        Output(ids.QUERY_RESULT, "children"),
        Output(ids.QUERY_ADDRESS, "data"),
        Input(ids.QUERY_RUN, "n_clicks"),
        State(ids.QUERY_SQL, "value"),
        State(ids.QUERY_URL, "data"),
    )
    async def run(clicks: int, sql: str, url: str) -> Any:
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
        content = await asyncio.to_thread(result_table.file, table, kind)
        return {
            "content": b64encode(content).decode("ascii"),
            "base64": True,
            "filename": f"htga.{kind}",
            "type": result_table.MEDIA[kind],
        }
