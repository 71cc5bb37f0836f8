"""One run, live: what is known of it, its latest readings, and its charts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from urllib.parse import SplitResult

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.wire import Histograms, Run, Series
from htga_dashboard.components import graph as graphs
from htga_dashboard.components import ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.components.cards import card
from htga_dashboard.figures import theme
from htga_dashboard.models.charts import METRICS, charts_of
from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run import (
    cards,
    layers,
    report,
)
from htga_dashboard.pages.run import (
    edit as editing,
)
from htga_dashboard.pages.run import (
    load as drawing,
)
from htga_dashboard.pages.run import (
    ridgeline as ridge,
)
from htga_dashboard.pages.run import (
    tail_snapshot as snapshot,
)
from htga_dashboard.pages.run.layer_options import Look
from htga_dashboard.pages.run.load import Drawn
from htga_dashboard.pages.run.view_state import HEAT, View
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source


def layout(drawn: Drawn, query: str = "") -> Component:
    """The page of a run, with its figures.

    Args:
        drawn: What to show.
        query: What its address says after the "?": which steps, which layers.
    """
    run, view = drawn.run, drawn.view
    steps = Steps.from_query(query)
    return html.Div(
        [
            dcc.Store(id=ids.RUN, data=run.id),
            dcc.Store(id=ids.RUN_NEWS),
            dcc.Store(id=ids.RUN_VIEW, data=view.to_json()),
            dcc.Store(id=ids.RUN_GROWTH),
            graphs.store(ids.RUN, graphs.handed(drawn.figures)),
            dcc.Store(id=ids.RUN_REDRAW, data=0),
            dcc.Store(id=ids.RUN_STEPS, data=str(steps)),
            html.Header(cards.heading(run), id=ids.RUN_HEADING, className="heading"),
            html.Dl(cards.readings(run), id=ids.RUN_READINGS, className="readings"),
            cards.stretch(steps, view.caption),
            html.Div(
                [
                    html.Section(charts(run, view), id=ids.RUN_CARDS),
                    html.Section(cards.events(drawn.events), id=ids.RUN_EVENTS),
                ],
                className="cards",
            ),
            snapshot.layout(query, hidden=view.heat.step is None),
            layers.layout(Look.from_query(query)),
            html.Div(
                [html.Section(cards.notes(run), id=ids.RUN_NOTES), *cards.details(run)],
                className="cards",
            ),
            editing.layout(run),
        ],
        className="page run",
        **attributes(
            data_title=run.name or run.id, data_news=ids.RUN_NEWS, data_run=run.id, data_draws=""
        ),
    )


def validation_layout() -> Component:
    """Every component that the callbacks of `register` name, for Dash to check their ids."""
    none = Run(
        id="",
        project="",
        name="",
        state="running",
        group="",
        tags=(),
        config={},
        notes="",
        environment={},
        attempt=1,
        created=0.0,
        updated=None,
        finished=None,
        archived=False,
        last_step=None,
        summary={},
        metrics=(),
    )
    series = Series(run_id="", layer="", step=[], time=[], keys={}, buckets=0, total=0, cursor=None)
    histograms = Histograms(
        run_id="",
        layer="",
        step=[],
        edges=[],
        counts=[],
        n_zero=[],
        n_nonfinite=[],
        total=0,
        cursor=None,
    )
    return layout(drawing.draw(none, series, histograms, theme.LIGHT))


async def read(source: Source, run_id: str, url: SplitResult, palette: theme.Theme) -> Component:
    """The page of the run of this id, as things are now."""
    steps = Steps.from_query(url.query)
    return layout(await drawing.read(source, run_id, palette, steps), url.query)


def charts(run: Run, view: View) -> list[Component]:
    """A card for each of the figures of `view`."""
    shown = [
        card(chart.name, chart.title, chart.note, wide=chart.wide, steps=True)
        for chart in charts_of(run)
    ]
    if view.heat.step is not None:
        title, note = "|gradient| over steps", "share of the entries"
        shown.insert(2, card(HEAT, title, note, wide=True, steps=True))
    if len(run.metrics) > METRICS:
        shown.append(cards.left_out(len(run.metrics) - METRICS))
    return shown or [cards.waiting()]


def register(app: Dash, source: Source) -> None:
    """Draw the charts, and let them grow while the run does.

    `draw` gives the graphs new figures, which keeps their zoom, and puts their cards on the page
    where it has others. `grow` only appends to them, and asks for `draw` where that would not do.
    """
    _register_drawing(app, source)
    _register_growth(app, source)
    _register_report(app, source)
    snapshot.register(app, source)
    ridge.register(app, source)
    layers.register(app, source)
    editing.register(app, source)
    app.clientside_callback(
        ClientsideFunction("htga", "typedSteps"),
        Input(ids.RUN_FIRST, "value"),
        Input(ids.RUN_LAST, "value"),
        Input(ids.RUN_ALL, "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "landed"),
        Input(ids.RUN_VIEW, "data"),
        Input(ids.RUN_GROWTH, "data"),
        prevent_initial_call=True,
    )


def _register_drawing(app: Dash, source: Source) -> None:
    @app.callback(
        Output(ids.RUN_CARDS, "children"),
        Output(ids.RUN_VIEW, "data"),
        Output(ids.figures(ids.RUN), "data"),
        Output(ids.RUN_CAPTION, "children"),
        Input(ids.RUN_REDRAW, "data"),
        Input(ids.THEME, "data"),
        Input(ids.RUN_STEPS, "data"),
        State(ids.RUN_VIEW, "data"),
        prevent_initial_call=True,
    )
    async def draw(redraws: int, theme_name: str, steps: str, data: dict[str, Any]) -> Any:
        before = View.from_json(data)
        try:
            drawn = await drawing.read(
                source, before.run, theme.named(theme_name), Steps.parse(steps)
            )
        except SourceError:
            return no_update, before.answered().to_json(), no_update, no_update
        view = replace(drawn.view, beat=before.beat + 1)
        return (
            no_update if before.graphs == view.graphs else charts(drawn.run, view),
            view.to_json(),
            graphs.handed(drawn.figures, redraws),
            view.caption,
        )


def _register_growth(app: Dash, source: Source) -> None:
    @app.callback(
        Output(ids.RUN_VIEW, "data", allow_duplicate=True),
        Output(ids.RUN_GROWTH, "data"),
        Output(ids.RUN_HEADING, "children"),
        Output(ids.RUN_READINGS, "children"),
        Output(ids.RUN_REDRAW, "data"),
        Output(ids.RUN_CAPTION, "children", allow_duplicate=True),
        Output(ids.RUN_EVENTS, "children"),
        Input(ids.RUN_NEWS, "data"),
        State(ids.RUN_VIEW, "data"),
        State(ids.RUN_REDRAW, "data"),
        prevent_initial_call=True,
    )
    async def grow(_news: Any, data: dict[str, Any], redraws: int) -> Any:
        same = [no_update] * 7
        view = View.from_json(data)
        try:
            (run, series, histograms), events = await asyncio.gather(
                drawing.read_news(source, view), source.events(view.run)
            )
        except SourceError:
            return [view.answered().to_json(), *same[1:]]
        words, said = (cards.heading(run), cards.readings(run)), cards.events(events)
        if series is None:
            return [view.answered(run).to_json(), no_update, *words, no_update, no_update, said]
        growth = view.grow(run, series, histograms, events)
        if growth is None:
            return [no_update, no_update, *words, redraws + 1, no_update, said]
        grown, extensions = growth
        return [grown.to_json(), extensions, *words, no_update, grown.caption, said]


def _register_report(app: Dash, source: Source) -> None:
    @app.callback(
        Output(ids.RUN_FILE, "data"),
        Input(ids.RUN_REPORT, "n_clicks"),
        State(ids.RUN, "data"),
        State(ids.RUN_STEPS, "data"),
        running=[(Output(ids.RUN_REPORT, "disabled"), True, False)],
        prevent_initial_call=True,
    )
    async def take(_clicks: int, run_id: str, steps: str) -> Any:
        drawn = await drawing.read(source, run_id, theme.LIGHT, Steps.parse(steps))
        content = await asyncio.to_thread(report.to_html, drawn.run, drawn.figures)
        return {"content": content, "filename": f"htga-{run_id}.html", "type": "text/html"}
