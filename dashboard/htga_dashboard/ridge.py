"""How the distribution of |gradient| has moved, beside the tail at one moment."""

from __future__ import annotations

import asyncio
from typing import Any

from dash import Dash, Input, Output, State, no_update

from htga_dashboard import ids, theme
from htga_dashboard.figures import ridge as picture
from htga_dashboard.freshness import Shown
from htga_dashboard.source import Source, SourceError
from htga_dashboard.steps import Steps
from htga_dashboard.view import View

RIDGES = 14


def register(app: Dash, source: Source) -> None:
    """Draw the ridges, and anew when the run has grown enough."""

    @app.callback(
        Output(ids.RIDGE, "figure"),
        Output(ids.RIDGE_SHOWN, "data"),
        Input(ids.RUN_VIEW, "data"),
        Input(ids.THEME, "data"),
        State(ids.RUN_STEPS, "data"),
        State(ids.RIDGE_SHOWN, "data"),
        prevent_initial_call=True,
    )
    async def draw(
        data: dict[str, Any] | None, theme_name: str | None, steps: str, before: Any
    ) -> Any:
        if data is None or theme_name is None or (view := View.from_json(data)).heat.step is None:
            return no_update, no_update
        now = Shown(what=[theme_name, steps, view.state], step=view.step or 0)
        if now.holds(before):
            return no_update, no_update
        try:
            found = await source.histograms(view.run, buckets=RIDGES, steps=Steps.parse(steps))
        except SourceError:
            return no_update, no_update  # what is on screen stays; the next news asks again
        return await asyncio.to_thread(picture.figure, found, theme.named(theme_name)), now.data
