"""The ridgeline card: how the distribution of |gradient| has moved over the run."""

from __future__ import annotations

import asyncio
from typing import Any

from dash import Dash, Input, Output, dcc, html, no_update
from dash.development.base_component import Component

from htga_dashboard.components import graph, ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.figures import ridgeline, theme
from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run.view_state import View
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

RIDGES = 14


def layout() -> Component:
    """The card."""
    note = "|gradient| from the first step down to the latest"
    return html.Article(
        [
            dcc.Store(id=ids.section(ids.RIDGE)),
            graph.store(ids.RIDGE),
            html.Header([html.H2("Ridgeline"), html.Span(note)]),
            html.Div(graph.place(ids.RIDGE), className="plot"),
        ],
        className="card",
        **attributes(data_section=ids.RIDGE),
    )


def register(app: Dash, source: Source) -> None:
    """Register the callback, which draws the ridges again when the run has grown."""

    @app.callback(
        Output(ids.figures(ids.RIDGE), "data"),
        Input(ids.section(ids.RIDGE), "data"),
        Input(ids.THEME, "data"),
        prevent_initial_call=True,
    )
    async def draw(data: dict[str, Any] | None, theme_name: str | None) -> Any:
        if data is None or (view := View.from_json(data)).heat.step is None:
            return no_update
        steps = Steps.parse(view.steps)
        try:
            found = await source.histograms(view.run, buckets=RIDGES, steps=steps)
        except SourceError:
            return no_update  # keep what is on screen; the next update tries again
        figure = await asyncio.to_thread(ridgeline.figure, found, theme.named(theme_name))
        return graph.to_payload({ids.RIDGE: figure})
