"""The page of one run: heading, readings, charts, tail, layers, events and settings, live."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from urllib.parse import SplitResult

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.wire import Histograms, Run, Series
from htga_dashboard.components import graph, ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.components.cards import card
from htga_dashboard.figures import theme
from htga_dashboard.models.charts import METRICS, charts_of
from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run import cards, edit, layers, report, ridgeline, tail_snapshot
from htga_dashboard.pages.run.layer_options import LayerOptions
from htga_dashboard.pages.run.load import RunFigures, build, load, load_new
from htga_dashboard.pages.run.view_state import HEAT, View
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source


def layout(drawn: RunFigures, query: str = "") -> Component:
    """The page of a run, with its figures.

    Args:
        drawn: The run and its figures.
        query: The query of its address: range of steps, options of layers.
    """
    run, view = drawn.run, drawn.view
    steps = Steps.from_query(query)
    return html.Div(
        [
            dcc.Store(id=ids.RUN, data=run.id),
            dcc.Store(id=ids.RUN_NEWS),
            dcc.Store(id=ids.RUN_VIEW, data=view.to_json()),
            dcc.Store(id=ids.RUN_GROWTH),
            graph.store(ids.RUN, graph.to_payload(drawn.figures)),
            dcc.Store(id=ids.RUN_REDRAW, data=0),
            dcc.Store(id=ids.RUN_STEPS, data=str(steps)),
            html.Header(cards.heading(run), id=ids.RUN_HEADING, className="heading"),
            html.Dl(cards.readings(run), id=ids.RUN_READINGS, className="readings"),
            *cards.damaged(drawn.damaged),
            cards.step_range_inputs(steps, view.caption),
            html.Div(
                [
                    html.Section(charts(run, view), id=ids.RUN_CARDS),
                    html.Section(cards.events(drawn.events), id=ids.RUN_EVENTS),
                ],
                className="cards",
            ),
            tail_snapshot.layout(query, hidden=view.heat.step is None),
            layers.layout(LayerOptions.from_query(query)),
            html.Div(
                [html.Section(cards.notes(run), id=ids.RUN_NOTES), *cards.details(run)],
                className="cards",
            ),
            edit.layout(run),
        ],
        className="page run",
        **attributes(
            data_title=run.name or run.id, data_news=ids.RUN_NEWS, data_run=run.id, data_draws=""
        ),
    )


def validation_layout() -> Component:
    """Every component that the callbacks refer to, for Dash to check their ids."""
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
    return layout(build(none, series, histograms, theme.LIGHT))


async def read(source: Source, run_id: str, url: SplitResult, palette: theme.Theme) -> Component:
    """Load the page of a run."""
    steps = Steps.from_query(url.query)
    return layout(await load(source, run_id, palette, steps), url.query)


def charts(run: Run, view: View) -> list[Component]:
    """A card for each chart of the run, in the order of the page."""
    shown = [
        card(chart.name, chart.title, chart.note, about=chart.about, wide=chart.wide, steps=True)
        for chart in charts_of(run)
    ]
    if view.heat.step is not None:
        title, note = "|gradient| over steps", "share of the entries"
        shown.insert(2, card(HEAT, title, note, wide=True, steps=True))
    if len(run.metrics) > METRICS:
        shown.append(cards.left_out(len(run.metrics) - METRICS))
    return shown or [cards.waiting()]


def register(app: Dash, source: Source) -> None:
    """Register the callbacks, which draw the charts and let them grow with the run.

    `draw` replaces all figures, which keeps the reader's zoom, and the cards where they differ.
    `grow` only appends points, and triggers `draw` where that is not enough.
    """
    _register_drawing(app, source)
    _register_growth(app, source)
    _register_report(app, source)
    tail_snapshot.register(app, source)
    ridgeline.register(app, source)
    layers.register(app, source)
    edit.register(app, source)
    app.clientside_callback(
        ClientsideFunction("htga", "typedSteps"),
        Input(ids.RUN_FIRST, "value"),
        Input(ids.RUN_LAST, "value"),
        Input(ids.RUN_ALL, "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "runUpdated"),
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
            drawn = await load(source, before.run, theme.named(theme_name), Steps.parse(steps))
        except SourceError:
            return no_update, before.answered().to_json(), no_update, no_update
        view = replace(drawn.view, beat=before.beat + 1)
        return (
            no_update if before.graphs == view.graphs else charts(drawn.run, view),
            view.to_json(),
            graph.to_payload(drawn.figures, redraws),
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
                load_new(source, view), source.events(view.run)
            )
        except SourceError:
            return [view.answered().to_json(), *same[1:]]
        header, listed = (cards.heading(run), cards.readings(run)), cards.events(events)
        if series is None:
            return [view.answered(run).to_json(), no_update, *header, no_update, no_update, listed]
        growth = view.grow(run, series, histograms, events)
        if growth is None:
            return [no_update, no_update, *header, redraws + 1, no_update, listed]
        grown, extensions = growth
        return [grown.to_json(), extensions, *header, no_update, grown.caption, listed]


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
        drawn = await load(source, run_id, theme.LIGHT, Steps.parse(steps))
        content = await asyncio.to_thread(report.to_html, drawn.run, drawn.figures)
        return {"content": content, "filename": f"htga-{run_id}.html", "type": "text/html"}
