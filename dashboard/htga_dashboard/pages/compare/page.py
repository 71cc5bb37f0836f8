"""The page that compares runs: charts with a line for each run or group, and tables."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.statistics.hill import TAIL_FRACTION
from htga_client.wire import Run
from htga_dashboard.components import cards, graph, ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.components.controls import options
from htga_dashboard.figures import theme
from htga_dashboard.models.alpha_sample import ALPHA_KEYS
from htga_dashboard.models.charts import ALPHA_IN_WORDS
from htga_dashboard.models.comparison import MAX_RUNS, Comparison
from htga_dashboard.models.differences import keys_of
from htga_dashboard.pages.compare import controls
from htga_dashboard.pages.compare.controls import groupings
from htga_dashboard.pages.compare.load import (
    HILL,
    INDEX,
    SURVIVAL,
    TAILS,
    ComparisonData,
    legend,
    load,
    tables,
)
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

CHOICE = 200
"""Number of newest runs to choose from."""

INDEX_TITLE = f"Tail index of the largest {100 * TAIL_FRACTION:g} %"

COMPARE = "compare"
"""Name of the callback that draws the figures."""


def layout(how: Comparison, runs: Sequence[Run], choice: Sequence[Run]) -> Component:
    """The page; its charts are drawn once the browser has sent its theme.

    Args:
        how: The comparison.
        runs: Its runs that exist.
        choice: Runs that can be added.
    """
    listed = {run.id: run for run in (*runs, *choice)}
    missing = len(how.runs) - len(runs)
    return html.Div(
        [
            dcc.Store(id=ids.COMPARE_QUERY, data=how.to_query()),
            dcc.Store(id=ids.COMPARE_NEWS),
            graph.store(COMPARE),
            html.Header(html.H1("Compare"), className="title"),
            controls.layout(how, list(listed.values()), runs),
            html.P(
                f"Runs of this address that are no longer there: {missing}", className="left-out"
            )
            if missing
            else None,
            html.Ul(id=ids.COMPARE_LEGEND, className="legend"),
            html.Div(id=ids.COMPARE_CHARTS, className="cards"),
            html.Div(id=ids.COMPARE_TABLES),
        ],
        className="page compare",
        **attributes(data_title="Compare", data_news=ids.COMPARE_NEWS, data_draws=""),
    )


async def read(source: Source, url: SplitResult) -> Component:
    """Load the page."""
    how = Comparison.from_query(url.query)
    runs, choice = await asyncio.gather(
        source.runs_by_id(how.runs[:MAX_RUNS]), source.newest(CHOICE)
    )
    return layout(how, runs, choice)


def charts(drawn: ComparisonData) -> list[Component]:
    """A card for each key, and two cards for the tails."""
    if not drawn.runs:
        return [
            html.Div(
                [
                    html.H2("Nothing to compare yet"),
                    html.P("Choose runs above, or select them in the table of runs."),
                ],
                className="empty",
            )
        ]
    shown = [
        cards.card(f"compare-{place}", key, "", about=ALPHA_IN_WORDS if key in ALPHA_KEYS else "")
        for place, key in enumerate(drawn.keys)
    ]
    if drawn.cautions:
        shown.insert(0, caution(drawn))
    if INDEX in drawn.figures:
        note = "of every histogram alike, so comparable"
        if len(drawn.runs) > TAILS:
            note += f"; the first {TAILS} runs"
        shown.append(cards.card(INDEX, INDEX_TITLE, note, about=ALPHA_IN_WORDS))
    if SURVIVAL in drawn.figures:
        when = "at the latest step"
        if len(drawn.runs) > TAILS:
            when += f", of the first {TAILS} runs"
        for name, title, note in (
            (SURVIVAL, "Survival", "share of entries above a magnitude"),
            (HILL, "Hill plots", "tail index by the size k of the tail"),
        ):
            shown.append(cards.card(name, title, f"{note}, {when}"))
    if drawn.missing or not shown:
        what = ", ".join(drawn.missing) or "anything yet"
        shown.append(html.P(f"None of these runs has measured {what}.", className="left-out"))
    return shown


def caution(drawn: ComparisonData) -> Component:
    """In what the tail indices differ besides their values, and which chart has them alike."""
    remedy = "Runs without histograms cannot be brought to one share."
    if INDEX in drawn.figures:
        remedy = (
            f"\u201c{INDEX_TITLE}\u201d below takes the same share"
            " of the entries of each histogram, which is of the raw gradient in all runs but older"
            " ones of HTGA with apply=\u201cupdate\u201d."
        )
    return html.Div(
        [
            html.P(html.B("These tail indices cannot be compared as they are.")),
            html.Ul([html.Li(sentence) for sentence in drawn.cautions]),
            html.P(remedy),
        ],
        className="caution",
        role="note",
    )


def register(app: Dash, source: Source) -> None:
    """Register the callbacks: controls to address to charts, and charts again when runs change."""
    _register_controls(app)
    _register_drawing(app, source)


def _register_controls(app: Dash) -> None:
    @app.callback(
        Output(ids.COMPARE_QUERY, "data"),
        Input(ids.COMPARE_RUNS, "value"),
        Input(ids.COMPARE_KEYS, "value"),
        Input(ids.COMPARE_X, "value"),
        Input(ids.COMPARE_SCALE, "value"),
        Input(ids.COMPARE_SMOOTHING, "value"),
        Input(ids.COMPARE_GROUP, "value"),
        Input(ids.COMPARE_BAND, "value"),
        prevent_initial_call=True,
    )
    async def choose(  # noqa: PLR0917 (Dash passes arguments by position)
        runs: list[str] | None,
        keys: list[str] | None,
        x: Any,
        scale: str,
        smoothing: float,
        by: list[str] | None,
        band: Any,
    ) -> str:
        return Comparison(
            runs=tuple(runs or ()),
            keys=tuple(keys or ()),
            x=x,
            smoothing=smoothing or 0.0,
            log=scale == "log",
            group=tuple(by or ()),
            band=band,
        ).to_query()

    app.clientside_callback(
        ClientsideFunction("htga", "keepAddress"),
        Input(ids.COMPARE_QUERY, "data"),
        prevent_initial_call=True,
    )


def _register_drawing(app: Dash, source: Source) -> None:
    @app.callback(
        Output(ids.COMPARE_CHARTS, "children"),
        Output(ids.COMPARE_LEGEND, "children"),
        Output(ids.COMPARE_TABLES, "children"),
        Output(ids.COMPARE_KEYS, "options"),
        Output(ids.COMPARE_GROUP, "options"),
        Output(ids.figures(COMPARE), "data"),
        Input(ids.COMPARE_QUERY, "data"),
        Input(ids.COMPARE_NEWS, "data"),
        Input(ids.THEME, "data"),
        State(ids.figures(COMPARE), "data"),
    )
    async def draw(
        query: str, news: dict[str, Any] | None, theme_name: str | None, before: Any
    ) -> Any:
        nothing = [no_update] * 5
        if theme_name is None:  # the browser sends it soon after loading
            return *nothing, no_update
        how = Comparison.from_query(query)
        keys, beat = (before["keys"], before["beat"] + 1) if before else (None, 0)
        same = graph.to_payload({}, beat) | {"keys": keys, "of": before and before["of"]}
        # Compare with what is on screen, not with the trigger: of two overlapping calls Dash keeps
        # the later one, which may be about other runs.
        if keys and before["of"] == [query, theme_name] and not _concerns(news, how):
            return *nothing, same
        try:
            drawn = await load(source, how, theme.named(theme_name))
        except SourceError as error:
            kept = nothing if keys else [[cards.failure(str(error))], *nothing[1:]]
            return *kept, same
        tails = [name for name in (SURVIVAL, INDEX) if name in drawn.figures]
        shown = [*drawn.keys, *drawn.missing, *drawn.cautions, *tails]
        return (
            no_update if keys and shown == keys else charts(drawn),
            legend(drawn.groups, drawn.runs),
            tables(drawn.runs, drawn.keys),
            options(keys_of(drawn.runs), how.keys),
            options(groupings(drawn.runs), how.group),
            graph.to_payload(drawn.figures, beat) | {"keys": shown, "of": [query, theme_name]},
        )

    app.clientside_callback(
        ClientsideFunction("htga", "comparisonDrawn"),
        Input(ids.figures(COMPARE), "data"),
        prevent_initial_call=True,
    )


def _concerns(news: dict[str, Any] | None, how: Comparison) -> bool:
    changed = set(news["runs"]) if news else set()
    return "*" in changed or not changed.isdisjoint(how.runs)
