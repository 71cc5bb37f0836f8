"""The tail at one moment of a run: survival, Hill plot and the fit, for a step and a k."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.statistics.hill import HillPlot, default_k, hill_plot, survival
from htga_client.wire import Histograms
from htga_dashboard.components import graph as graphs
from htga_dashboard.components import ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.components.controls import field
from htga_dashboard.figures import tail as tails
from htga_dashboard.figures import theme
from htga_dashboard.figures.layout import Figure
from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run import ridgeline as ridge
from htga_dashboard.pages.run.selected_step import Chosen, Moment
from htga_dashboard.pages.run.view_state import View
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

BITS = 3
"""Resolution of the histogram that is asked for, which is what the probe sends."""

SEARCHED = 200
"""Steps before a moment among which the last one that was measured is looked for."""

WHOLE = "the whole model"


def layout(query: str, *, hidden: bool) -> Component:
    """The place of the snapshot.

    Args:
        query: What the address says after its "?".
        hidden: Whether it is unseen, until there is a histogram.
    """
    chosen = Chosen.from_query(query)
    return html.Div(
        [
            dcc.Store(id=ids.section(ids.SNAPSHOT)),
            dcc.Store(id=ids.MOMENT),
            dcc.Store(id=ids.MOMENT_AT, data=chosen.at),
            graphs.store(ids.SNAPSHOT),
            html.Section(
                [
                    _controls(chosen),
                    _card(ids.SURVIVAL, "Survival", "share of entries above a magnitude"),
                    _card(ids.HILL, "Hill plot", "tail index by the size k of the tail; drag k"),
                    ridge.layout(),
                ],
                id=ids.SNAPSHOT,
                hidden=hidden,
            ),
        ],
        className="cards",
        **attributes(data_section=ids.SNAPSHOT),
    )


def figures(histograms: Histograms, moment: Moment) -> tuple[Figure, Figure, str]:
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
        Output(ids.figures(ids.SNAPSHOT), "data"),
        Output(ids.MOMENT_CAPTION, "children"),
        Output(ids.MOMENT, "data"),
        Output(ids.MOMENT_STEP, "max"),
        Output(ids.MOMENT_STEP, "value"),
        Output(ids.MOMENT_LAYER, "options"),
        Output(ids.SNAPSHOT, "hidden"),
        Input(ids.section(ids.SNAPSHOT), "data"),
        Input(ids.MOMENT_AT, "data"),
        Input(ids.MOMENT_K, "value"),
        Input(ids.MOMENT_LAYER, "value"),
        Input(ids.THEME, "data"),
        State(ids.MOMENT, "data"),
        prevent_initial_call=True,
    )
    async def draw(  # noqa: PLR0917 (Dash passes arguments by position)
        data: dict[str, Any] | None,
        at: int | None,
        k: str | None,
        layer: str | None,
        theme_name: str | None,
        shown: dict[str, Any] | None,
    ) -> Any:
        same = [no_update] * 7
        if data is None or (view := View.from_json(data)).heat.step is None:
            return same
        size = int(k) if k and k.isdecimal() else None
        moment = Moment.of(view, Chosen(at=at, k=size, layer=layer or ""), theme_name)
        if shown == asdict(moment):
            return same
        try:
            taken, found = await _read(source, view, moment)
            names = no_update if shown else _options(await source.layers(view.run))
        except SourceError as error:
            return [no_update, str(error), *same[2:]]
        survived, hill, words = await asyncio.to_thread(figures, found, taken)
        drawn = graphs.handed({ids.SURVIVAL: survived, ids.HILL: hill})
        return [drawn, words, asdict(moment), view.step, moment.last, names, False]

    app.clientside_callback(
        ClientsideFunction("htga", "momentMoved"),
        Output(ids.MOMENT_AT, "data"),
        Input(ids.MOMENT_STEP, "value"),
        State(ids.MOMENT_STEP, "max"),
        State(ids.MOMENT_AT, "data"),
        State(ids.MOMENT, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "keepMoment"),
        Input(ids.MOMENT_AT, "data"),
        Input(ids.MOMENT_K, "value"),
        Input(ids.MOMENT_LAYER, "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "markMoment"),
        Input(ids.MOMENT, "data"),
        State(ids.MOMENT_STEP, "max"),
        prevent_initial_call=True,
    )


async def _read(source: Source, view: View, moment: Moment) -> tuple[Moment, Histograms]:
    """The histogram of the moment, or the last before it: not every step need be measured."""
    read = partial(source.histograms, view.run, bits=BITS, layer=moment.layer)
    found = await read(buckets=1, steps=moment.steps)
    if found.step:
        return moment, found
    before = Steps(max(moment.last - SEARCHED, 0), moment.last)
    several = await read(buckets=SEARCHED, steps=before)
    if not several.step:
        return moment, found
    taken = moment.ending(several.step[-1])
    return taken, await read(buckets=1, steps=taken.steps)


def _options(layers: list[str]) -> list[dict[str, str]]:
    return [{"label": layer or WHOLE, "value": layer} for layer in ("", *layers)]


def _controls(chosen: Chosen) -> Component:
    slider = dcc.Slider(
        id=ids.MOMENT_STEP,
        min=0,
        max=1,
        step=1,
        marks=None,
        allow_direct_input=False,
        tooltip={"placement": "bottom"},
    )
    size = dcc.Input(
        id=ids.MOMENT_K,
        type="text",
        inputMode="numeric",
        pattern="[0-9]*",
        value="" if chosen.k is None else str(chosen.k),
        placeholder="auto",
        debounce=True,
        autoComplete="off",
    )
    of = dcc.Dropdown(
        id=ids.MOMENT_LAYER,
        options=_options([chosen.layer] if chosen.layer else []),
        value=chosen.layer,
        clearable=False,
    )
    return html.Div(
        [
            html.H2("The tail at one moment"),
            html.Div(slider, className="scrubber", **attributes(data_label="Step")),
            html.Label([html.Span("k"), size]),
            field("Of", of),
            html.Span(id=ids.MOMENT_CAPTION, **attributes(aria_live="polite")),
        ],
        className="moment",
    )


def _card(name: str, title: str, note: str) -> Component:
    return html.Article(
        [
            html.Header([html.H2(title), html.Span(note)]),
            html.Div(graphs.place(name), className="plot"),
        ],
        className="card",
    )
