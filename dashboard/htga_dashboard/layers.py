"""The layers of a run in one picture, and the curves of those that are pinned."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from htga_client.wire import LayerMap, Series
from htga_dashboard import cards, ids, pinned, theme
from htga_dashboard.attributes import attributes
from htga_dashboard.controls import field, one, several
from htga_dashboard.figures import layers as picture
from htga_dashboard.freshness import Shown
from htga_dashboard.layer_look import ORDERS, PINNED, Look
from htga_dashboard.source import Source, SourceError
from htga_dashboard.steps import Steps
from htga_dashboard.strata import MEASURES, Order, Strata, strata
from htga_dashboard.view import View

COLUMNS = 120
"""Buckets of steps in the picture; a row of thousands of layers has no need of more."""

BUCKETS = 400
"""Buckets of steps in the curves of one layer."""

HEAT = "layers"
"""Name of the picture among the graphs of a page."""


def layout(look: Look) -> Component:
    """The place of the layers, unseen until one was measured."""
    keys = {key: measure.label for key, measure in MEASURES.items()}
    return html.Section(
        [
            dcc.Store(id=ids.LAYERS_SHOWN),
            dcc.Store(id=ids.LAYERS_ROWS),
            dcc.Store(id=ids.LAYERS_AMONG, data=[]),
            dcc.Store(id=ids.LAYERS_FIGURES),
            html.Div(
                [
                    html.H2("Layers"),
                    field("Value", one(ids.LAYERS_KEY, keys, look.key)),
                    field("Order", one(ids.LAYERS_ORDER, ORDERS, look.order)),
                    field(
                        "Names with",
                        dcc.Input(
                            id=ids.LAYERS_MATCH,
                            type="search",
                            value=look.match,
                            placeholder="conv, or *.weight",
                            debounce=0.3,
                            autoComplete="off",
                        ),
                    ),
                    field(
                        "Pinned",
                        several(ids.LAYERS_PINNED, look.pinned, look.pinned, "Click a row"),
                        wide=True,
                    ),
                ],
                className="controls layers-controls",
            ),
            html.Article(
                [
                    html.Header(
                        [
                            html.H2(id=ids.LAYERS_TITLE),
                            html.Span(id=ids.LAYERS_CAPTION, **attributes(aria_live="polite")),
                            html.Button(
                                "All layers", id=ids.LAYERS_ALL, className="link", hidden=True
                            ),
                        ]
                    ),
                    html.Div(
                        dcc.Graph(id=ids.chart(HEAT), config=cards.GRAPH, className="graph"),
                        id=ids.LAYERS_PLOT,
                        className="plot",
                    ),
                ],
                className="card whole",
            ),
            html.Section(id=ids.LAYERS_CARDS),
        ],
        id=ids.LAYERS,
        className="layers",
        hidden=True,
    )


def caption(rows: Strata, look: Look) -> str:
    """What a row and a cell of the picture are."""
    count = sum(map(len, rows.layers))
    if not count:
        return f"none of {rows.total:,} layers has {look.match!r} in its name"
    of = f"{count:,} of {rows.total:,} layers" if count < rows.total else f"{count:,} layers"
    each = len(rows.layers[0])
    if each > 1:
        of += f", {each} to a row, which shows the most telling; click a row to open it"
    return f"{MEASURES[look.key].note} \N{MIDDLE DOT} {of}"


def register(app: Dash, source: Source) -> None:
    """Draw the layers as they are looked at, and anew when the run has grown enough."""

    @app.callback(
        Output(ids.LAYERS, "hidden"),
        Output(ids.chart(HEAT), "figure"),
        Output(ids.LAYERS_PLOT, "style"),
        Output(ids.LAYERS_TITLE, "children"),
        Output(ids.LAYERS_CAPTION, "children"),
        Output(ids.LAYERS_ALL, "hidden"),
        Output(ids.LAYERS_ROWS, "data"),
        Output(ids.LAYERS_PINNED, "options"),
        Output(ids.LAYERS_CARDS, "children"),
        Output(ids.LAYERS_FIGURES, "data"),
        Output(ids.LAYERS_SHOWN, "data"),
        Input(ids.RUN_VIEW, "data"),
        Input(ids.LAYERS_KEY, "value"),
        Input(ids.LAYERS_ORDER, "value"),
        Input(ids.LAYERS_MATCH, "value"),
        Input(ids.LAYERS_AMONG, "data"),
        Input(ids.LAYERS_PINNED, "value"),
        Input(ids.THEME, "data"),
        State(ids.RUN_STEPS, "data"),
        State(ids.LAYERS_SHOWN, "data"),
        prevent_initial_call=True,
    )
    async def draw(  # noqa: PLR0917 (Dash passes arguments by position)
        data: dict[str, Any] | None,
        key: str,
        order: Order,
        match: str | None,
        among: list[str],
        chosen: list[str] | None,
        theme_name: str | None,
        steps_said: str,
        before: dict[str, Any] | None,
    ) -> Any:
        same = [no_update] * 11
        # The browser says its theme a moment after it has come: once is enough to draw.
        if data is None or theme_name is None or (view := View.from_json(data)).step is None:
            return same
        look = Look(
            key=key,
            order=order,
            match=match or "",
            among=tuple(among),
            pinned=tuple(chosen or ())[:PINNED],
        )
        now = Shown([*_said(look), theme_name, steps_said, view.state], view.step)
        if now.holds(before):
            return same
        steps = Steps.parse(steps_said)
        try:
            found, curves_of = await _read(source, view.run, look, steps)
        except SourceError as error:
            return [*same[:4], str(error), *same[5:]]
        if not found.layers:
            return [True, *same[1:-1], now.data]
        palette = theme.named(theme_name)
        rows, heat, curves_drawn = await asyncio.to_thread(
            _draw, found, curves_of, look, palette, steps
        )
        stay = before is not None and before["what"][0] == list(look.pinned)
        return [
            False,
            heat,
            {"height": f"{picture.height(rows)}px"},
            f"{MEASURES[look.key].label} of each layer".capitalize(),
            caption(rows, look),
            not look.among,
            rows.layers,
            found.layers,
            no_update if stay else pinned.cards_of(look.pinned, curves_drawn),
            curves_drawn if stay else {},
            now.data,
        ]

    app.clientside_callback(
        ClientsideFunction("htga", "layerClicked"),
        Output(ids.LAYERS_PINNED, "value"),
        Output(ids.LAYERS_AMONG, "data"),
        Input(ids.chart(HEAT), "clickData"),
        Input(ids.LAYERS_ALL, "n_clicks"),
        State(ids.LAYERS_ROWS, "data"),
        State(ids.LAYERS_PINNED, "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "layersRedraw"),
        Input(ids.LAYERS_FIGURES, "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "keepLayers"),
        Input(ids.LAYERS_KEY, "value"),
        Input(ids.LAYERS_ORDER, "value"),
        Input(ids.LAYERS_MATCH, "value"),
        Input(ids.LAYERS_PINNED, "value"),
        prevent_initial_call=True,
    )


async def _read(
    source: Source, run_id: str, look: Look, steps: Steps
) -> tuple[LayerMap, list[Series]]:
    return await asyncio.gather(
        source.layer_map(run_id, look.key, buckets=COLUMNS, steps=steps),
        asyncio.gather(
            *(
                source.series(run_id, pinned.KEYS, layer=name, buckets=BUCKETS, steps=steps)
                for name in look.pinned
            )
        ),
    )


def _draw(
    found: LayerMap, series: Sequence[Series], look: Look, palette: theme.Theme, steps: Steps
) -> tuple[Strata, go.Figure, dict[str, go.Figure]]:
    rows = strata(found, look.order, match=look.match, among=look.among)
    heat = picture.figure(rows, MEASURES[look.key], palette, revision=f"{found.run_id} {look.key}")
    heat.update_layout(xaxis=steps.axis())
    return rows, heat, pinned.figures(series, palette, steps)


def _said(look: Look) -> list[Any]:
    return [list(look.pinned), look.key, look.order, look.match, list(look.among)]
