"""The tail at one step of a run: survival function, Hill plot and fit."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.statistics.hill import HillPlot, default_k, hill_plot, survival
from htga_client.statistics.which_law import compare_laws
from htga_client.wire import Histograms
from htga_dashboard.components import graph, ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.components.cards import card
from htga_dashboard.components.controls import field
from htga_dashboard.figures import tail, theme
from htga_dashboard.figures.layout import Figure
from htga_dashboard.models.charts import HILL_IN_WORDS
from htga_dashboard.models.law_verdicts import law_verdicts
from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run import ridgeline as ridge
from htga_dashboard.pages.run.selected_step import SnapshotQuery, StepWindow
from htga_dashboard.pages.run.view_state import View
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source

BITS = 3
"""Resolution of the histogram, the same as the probe sends."""

SEARCHED = 200
"""Number of steps before a window that are searched for the last histogram."""

WHOLE = "the whole model"


def layout(query: str, *, hidden: bool) -> Component:
    """The section of the snapshot.

    Args:
        query: The query of the address.
        hidden: Whether it is hidden, until there is a histogram.
    """
    chosen = SnapshotQuery.from_query(query)
    return html.Div(
        [
            dcc.Store(id=ids.section(ids.SNAPSHOT)),
            dcc.Store(id=ids.SNAPSHOT_WINDOW),
            dcc.Store(id=ids.SNAPSHOT_AT, data=chosen.at),
            graph.store(ids.SNAPSHOT),
            html.Section(
                [
                    _controls(chosen),
                    card(ids.SURVIVAL, "Survival", "share of entries above a magnitude"),
                    card(
                        ids.HILL,
                        "Hill plot",
                        "tail index by the size k of the tail; drag k",
                        about=HILL_IN_WORDS,
                    ),
                    ridge.layout(),
                ],
                id=ids.SNAPSHOT,
                hidden=hidden,
            ),
        ],
        className="cards",
        **attributes(data_section=ids.SNAPSHOT),
    )


def figures(histograms: Histograms, window: StepWindow) -> tuple[Figure, Figure, str]:
    """The survival function, the Hill plot, and a caption."""
    palette = theme.named(window.theme)
    edges = np.array(histograms.edges, np.float64)
    counts = np.zeros(max(len(edges) - 1, 0), np.int64)
    for column in histograms.counts:
        counts += np.array(column, np.int64)
    plot = hill_plot(edges, counts)
    n = int(counts.sum())
    wanted = window.k or default_k(n)
    chosen = plot.nearest(wanted) if wanted else None
    x, share = survival(edges, counts)
    laws = [] if chosen is None else compare_laws(edges, counts, float(plot.threshold[chosen]))
    return (
        tail.survival(x, share, plot, chosen, palette),
        tail.hill(plot, chosen, palette),
        caption(window, plot, chosen, n, law_verdicts(laws)),
    )


def caption(
    window: StepWindow, plot: HillPlot, chosen: int | None, n: int, verdicts: str = ""
) -> str:
    """The fit in words, which claim no power law, and how other laws fit the same tail."""
    steps = f"step {window.last:,}"
    if window.first < window.last:
        steps = f"steps {window.first:,} to {window.last:,}"
    if chosen is None:
        return f"{steps}: too few entries for a tail ({n:,})"
    return (
        f"{steps}: alpha_hat {plot.alpha[chosen]:.3g} \N{PLUS-MINUS SIGN} "
        f"{plot.stderr[chosen]:.2g}, k = {plot.k[chosen]:,} of n = {n:,}"
        f"{verdicts and f'; {verdicts}'}"
    )


def register(app: Dash, source: Source) -> None:
    """Register the callbacks: draw the chosen step, or follow the latest."""

    @app.callback(
        Output(ids.figures(ids.SNAPSHOT), "data"),
        Output(ids.SNAPSHOT_CAPTION, "children"),
        Output(ids.SNAPSHOT_WINDOW, "data"),
        Output(ids.SNAPSHOT_STEP, "max"),
        Output(ids.SNAPSHOT_STEP, "value"),
        Output(ids.SNAPSHOT_LAYER, "options"),
        Output(ids.SNAPSHOT, "hidden"),
        Input(ids.section(ids.SNAPSHOT), "data"),
        Input(ids.SNAPSHOT_AT, "data"),
        Input(ids.SNAPSHOT_K, "value"),
        Input(ids.SNAPSHOT_LAYER, "value"),
        Input(ids.THEME, "data"),
        State(ids.SNAPSHOT_WINDOW, "data"),
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
        window = StepWindow.of(view, SnapshotQuery(at=at, k=size, layer=layer or ""), theme_name)
        if shown == asdict(window):
            return same
        try:
            taken, found = await _read(source, view, window)
            names = no_update if shown else _options(await source.layers(view.run))
        except SourceError as error:
            return [no_update, str(error), *same[2:]]
        survived, hill, words = await asyncio.to_thread(figures, found, taken)
        drawn = graph.to_payload({ids.SURVIVAL: survived, ids.HILL: hill})
        return [drawn, words, asdict(window), view.step, window.last, names, False]

    app.clientside_callback(
        ClientsideFunction("htga", "snapshotMoved"),
        Output(ids.SNAPSHOT_AT, "data"),
        Input(ids.SNAPSHOT_STEP, "value"),
        State(ids.SNAPSHOT_STEP, "max"),
        State(ids.SNAPSHOT_AT, "data"),
        State(ids.SNAPSHOT_WINDOW, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "keepSnapshot"),
        Input(ids.SNAPSHOT_AT, "data"),
        Input(ids.SNAPSHOT_K, "value"),
        Input(ids.SNAPSHOT_LAYER, "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "markSnapshot"),
        Input(ids.SNAPSHOT_WINDOW, "data"),
        State(ids.SNAPSHOT_STEP, "max"),
        prevent_initial_call=True,
    )


async def _read(source: Source, view: View, window: StepWindow) -> tuple[StepWindow, Histograms]:
    """The histogram of the window, or the last one before it if the window has none."""
    read = partial(source.histograms, view.run, bits=BITS, layer=window.layer)
    found = await read(buckets=1, steps=window.steps)
    if found.step:
        return window, found
    before = Steps(max(window.last - SEARCHED, 0), window.last)
    several = await read(buckets=SEARCHED, steps=before)
    if not several.step:
        return window, found
    taken = window.ending(several.step[-1])
    return taken, await read(buckets=1, steps=taken.steps)


def _options(layers: list[str]) -> list[dict[str, str]]:
    return [{"label": layer or WHOLE, "value": layer} for layer in ("", *layers)]


def _controls(chosen: SnapshotQuery) -> Component:
    slider = dcc.Slider(
        id=ids.SNAPSHOT_STEP,
        min=0,
        max=1,
        step=1,
        marks=None,
        allow_direct_input=False,
        tooltip={"placement": "bottom"},
    )
    size = dcc.Input(
        id=ids.SNAPSHOT_K,
        type="text",
        inputMode="numeric",
        pattern="[0-9]*",
        value="" if chosen.k is None else str(chosen.k),
        placeholder="auto",
        debounce=True,
        autoComplete="off",
    )
    of = dcc.Dropdown(
        id=ids.SNAPSHOT_LAYER,
        options=_options([chosen.layer] if chosen.layer else []),
        value=chosen.layer,
        clearable=False,
    )
    return html.Div(
        [
            html.H2("Tail at step"),
            html.Div(slider, className="scrubber", **attributes(data_label="Step")),
            html.Label([html.Span("k"), size]),
            field("Of", of),
            html.Span(id=ids.SNAPSHOT_CAPTION, **attributes(aria_live="polite")),
        ],
        className="snapshot-controls",
    )
