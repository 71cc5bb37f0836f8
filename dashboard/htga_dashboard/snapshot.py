"""The tail at one moment of a run: survival, Hill plot and the fit, for a step and a k to choose.

The moment is as wide as a column of the heat map above it: a single step of a short run or of a
zoom, the steps of one column of a long one. Unless a step is chosen it is the latest.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.tail import HillPlot, default_k, hill_plot, survival
from htga_client.wire import Histograms
from htga_dashboard import cards, ids, theme
from htga_dashboard.attributes import attributes
from htga_dashboard.figures import tails
from htga_dashboard.source import Source, SourceError
from htga_dashboard.steps import Steps
from htga_dashboard.view import View

BITS = 3
"""Resolution of the histogram that is asked for, which is what the probe sends."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a snapshot shows.

    Attributes:
        first, last: Its steps.
        k: Size of the tail, or None for n**0.6.
        theme: Name of the palette.
    """

    first: int
    last: int
    k: int | None
    theme: str | None

    @classmethod
    def of(cls, view: View, at: float | None, k: str | None, theme_name: str | None) -> Moment:
        """The moment at a step of a view that has histograms; the latest if none is chosen."""
        last = view.step or 0
        chosen = last if at is None else min(round(at), last)
        size = int(k) if k and k.isdecimal() else None
        return cls(max(chosen - view.heat.width + 1, 0), chosen, size, theme_name)

    def ending(self, last: int) -> Moment:
        """As many steps, up to another one."""
        return replace(self, first=max(last - (self.last - self.first), 0), last=last)


def layout() -> Component:
    """The place of the snapshot, unseen until there is a histogram."""
    return html.Section(
        [
            dcc.Store(id=ids.MOMENT),
            html.Div(
                [
                    html.H2("The tail at one moment"),
                    html.Div(
                        dcc.Slider(
                            id=ids.MOMENT_STEP,
                            min=0,
                            max=1,
                            step=1,
                            marks=None,
                            allow_direct_input=False,
                            tooltip={"placement": "bottom"},
                        ),
                        className="scrubber",
                        **attributes(data_label="Step"),
                    ),
                    html.Label(
                        [
                            html.Span("k"),
                            dcc.Input(
                                id=ids.MOMENT_K,
                                type="text",
                                inputMode="numeric",
                                pattern="[0-9]*",
                                placeholder="auto",
                                debounce=True,
                                autoComplete="off",
                            ),
                        ]
                    ),
                    html.Span(id=ids.MOMENT_CAPTION, **attributes(aria_live="polite")),
                ],
                className="moment",
            ),
            _card(ids.SURVIVAL, "Survival", "share of entries above a magnitude"),
            _card(ids.HILL, "Hill plot", "tail index by the size of the tail"),
            _card(ids.RIDGE, "Ridgeline", "|gradient| from the first step down to the latest"),
            dcc.Store(id=ids.RIDGE_SHOWN),
        ],
        id=ids.SNAPSHOT,
        hidden=True,
    )


def figures(histograms: Histograms, moment: Moment) -> tuple[go.Figure, go.Figure, str]:
    """Survival, Hill plot, and what they come to in a sentence."""
    palette = theme.named(moment.theme)
    edges = np.array(histograms.edges, np.float64)
    counts = np.zeros(max(len(edges) - 1, 0), np.int64)
    for column in histograms.counts:
        counts += np.array(column, np.int64)
    plot = hill_plot(edges, counts)
    n = int(counts.sum())
    wanted = moment.k or default_k(n)
    chosen = plot.nearest(wanted) if wanted else None
    x, share = survival(edges, counts)
    return (
        tails.survival(x, share, plot, chosen, palette),
        tails.hill(plot, chosen, palette),
        caption(moment, plot, chosen, n),
    )


def caption(moment: Moment, plot: HillPlot, chosen: int | None, n: int) -> str:
    """The fit in a sentence; it claims no power law."""
    steps = f"step {moment.last:,}"
    if moment.first < moment.last:
        steps = f"steps {moment.first:,} to {moment.last:,}"
    if chosen is None:
        return f"{steps}: too few entries for a tail ({n:,})"
    return (
        f"{steps}: alpha_hat {plot.alpha[chosen]:.3g} \N{PLUS-MINUS SIGN} "
        f"{plot.stderr[chosen]:.2g}, k = {plot.k[chosen]:,} of n = {n:,}"
    )


def register(app: Dash, source: Source) -> None:
    """Draw the moment that is chosen, or the latest whenever there is a later one."""

    @app.callback(
        Output(ids.SURVIVAL, "figure"),
        Output(ids.HILL, "figure"),
        Output(ids.MOMENT_CAPTION, "children"),
        Output(ids.MOMENT, "data"),
        Output(ids.MOMENT_STEP, "max"),
        Output(ids.MOMENT_STEP, "value"),
        Output(ids.SNAPSHOT, "hidden"),
        Input(ids.RUN_VIEW, "data"),
        Input(ids.MOMENT_STEP, "value"),
        Input(ids.MOMENT_K, "value"),
        Input(ids.THEME, "data"),
        State(ids.MOMENT_STEP, "max"),
        State(ids.MOMENT, "data"),
        prevent_initial_call=True,
    )
    async def draw(  # noqa: PLR0917 (Dash passes arguments by position)
        data: dict[str, Any] | None,
        at: float | None,
        k: str | None,
        theme_name: str | None,
        latest: int,
        shown: dict[str, Any] | None,
    ) -> Any:
        same = [no_update] * 7
        if data is None or (view := View.from_json(data)).heat.step is None:
            return same
        # Whoever looks at the latest moment goes on looking at the latest.
        following = shown is None or at is None or at >= latest
        moment = Moment.of(view, None if following else at, k, theme_name)
        if shown == asdict(moment):
            return same
        taken = moment
        try:
            found = await _read(source, view.run, taken)
            if not found.step and following:  # not every step need be one that was measured
                taken = moment.ending(view.heat.step)
                found = await _read(source, view.run, taken)
        except SourceError as error:
            return [*same[:2], str(error), *same[3:]]
        drawn = await asyncio.to_thread(figures, found, taken)
        return [*drawn, asdict(moment), view.step, moment.last, False]

    app.clientside_callback(
        ClientsideFunction("htga", "markMoment"),
        Input(ids.MOMENT, "data"),
        State(ids.MOMENT_STEP, "max"),
        prevent_initial_call=True,
    )


async def _read(source: Source, run_id: str, moment: Moment) -> Histograms:
    steps = Steps(moment.first, moment.last)
    return await source.histograms(run_id, buckets=1, bits=BITS, steps=steps)


def _card(id_: str, title: str, note: str) -> Component:
    return html.Article(
        [
            html.Header([html.H2(title), html.Span(note)]),
            html.Div(dcc.Graph(id=id_, config=cards.GRAPH, className="graph"), className="plot"),
        ],
        className="card",
    )
