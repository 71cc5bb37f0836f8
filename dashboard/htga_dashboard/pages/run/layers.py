"""The section of layers: a figure of all of them, and the curves of the pinned ones."""

from __future__ import annotations

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from htga_dashboard.components import graph, ids
from htga_dashboard.components.attributes import attributes
from htga_dashboard.components.controls import dropdown, field, multi_dropdown
from htga_dashboard.figures import theme
from htga_dashboard.models.layer_rows import MEASURES, Order
from htga_dashboard.models.step_range import Steps
from htga_dashboard.pages.run import pinned_layers
from htga_dashboard.pages.run.layer_load import OVERVIEW, caption, load
from htga_dashboard.pages.run.layer_options import ACROSS, FORMS, ORDERS, PINNED, Form, LayerOptions
from htga_dashboard.pages.run.view_state import View
from htga_dashboard.source.http import SourceError
from htga_dashboard.source.source import Source


def layout(options: LayerOptions) -> Component:
    """The section, hidden until a layer was measured."""
    return html.Div(
        [
            dcc.Store(id=ids.section(ids.LAYERS)),
            dcc.Store(id=ids.LAYERS_SHOWN),
            dcc.Store(id=ids.LAYERS_ROWS),
            dcc.Store(id=ids.LAYERS_CLICK),
            dcc.Store(id=ids.LAYERS_ACROSS),
            dcc.Store(id=ids.LAYERS_AMONG, data=list(options.among)),
            graph.store(ids.LAYERS),
            _section(options),
        ],
        **attributes(data_section=ids.LAYERS),
    )


def _section(options: LayerOptions) -> Component:
    keys = {key: measure.label for key, measure in MEASURES.items()}
    return html.Section(
        [
            html.Div(
                [
                    html.H2("Layers"),
                    field("Value", dropdown(ids.LAYERS_KEY, keys, options.key)),
                    field("As", dropdown(ids.LAYERS_FORM, FORMS, options.form)),
                    field("Order", dropdown(ids.LAYERS_ORDER, ORDERS, options.order)),
                    field(
                        "Names with",
                        dcc.Input(
                            id=ids.LAYERS_MATCH,
                            type="search",
                            value=options.match,
                            placeholder="conv, or *.weight",
                            debounce=0.3,
                            autoComplete="off",
                        ),
                    ),
                    field(
                        "Pinned",
                        multi_dropdown(
                            ids.LAYERS_PINNED, options.pinned, options.pinned, "Click a row"
                        ),
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
                        graph.place(OVERVIEW, steps=True, clicks=ids.LAYERS_CLICK),
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


def register(app: Dash, source: Source) -> None:
    """Register the callbacks: draw the layers for the options, and again when the run has grown."""
    _register_drawing(app, source)
    app.clientside_callback(
        ClientsideFunction("htga", "layerClicked"),
        Output(ids.LAYERS_PINNED, "value"),
        Output(ids.LAYERS_AMONG, "data"),
        Input(ids.LAYERS_CLICK, "data"),
        Input(ids.LAYERS_ALL, "n_clicks"),
        State(ids.LAYERS_ROWS, "data"),
        State(ids.LAYERS_PINNED, "value"),
        State(ids.LAYERS_FORM, "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("htga", "keepLayers"),
        Input(ids.LAYERS_KEY, "value"),
        Input(ids.LAYERS_FORM, "value"),
        Input(ids.LAYERS_ORDER, "value"),
        Input(ids.LAYERS_MATCH, "value"),
        Input(ids.LAYERS_AMONG, "data"),
        Input(ids.LAYERS_PINNED, "value"),
        prevent_initial_call=True,
    )


def _register_drawing(app: Dash, source: Source) -> None:
    @app.callback(
        Output(ids.LAYERS, "hidden"),
        Output(ids.LAYERS_PLOT, "style"),
        Output(ids.LAYERS_TITLE, "children"),
        Output(ids.LAYERS_CAPTION, "children"),
        Output(ids.LAYERS_ALL, "hidden"),
        Output(ids.LAYERS_ROWS, "data"),
        Output(ids.LAYERS_PINNED, "options"),
        Output(ids.LAYERS_CARDS, "children"),
        Output(ids.figures(ids.LAYERS), "data"),
        Output(ids.LAYERS_SHOWN, "data"),
        Input(ids.section(ids.LAYERS), "data"),
        Input(ids.LAYERS_KEY, "value"),
        Input(ids.LAYERS_FORM, "value"),
        Input(ids.LAYERS_ORDER, "value"),
        Input(ids.LAYERS_MATCH, "value"),
        Input(ids.LAYERS_AMONG, "data"),
        Input(ids.LAYERS_PINNED, "value"),
        Input(ids.THEME, "data"),
        State(ids.LAYERS_SHOWN, "data"),
        State(ids.LAYERS_ACROSS, "data"),
        prevent_initial_call=True,
    )
    async def draw(  # noqa: PLR0917 (Dash passes arguments by position)
        data: dict[str, Any] | None,
        key: str,
        form: Form,
        order: Order,
        match: str | None,
        among: list[str],
        chosen: list[str] | None,
        theme_name: str | None,
        shown: list[str] | None,
        across: int | None,
    ) -> Any:
        same = [no_update] * 10
        if data is None or (view := View.from_json(data)).step is None:
            return same
        options = LayerOptions(
            key=key,
            form=form,
            order=order,
            match=match or "",
            among=tuple(among),
            pinned=tuple(chosen or ())[:PINNED],
            across=across or ACROSS,
        )
        try:
            drawn = await load(
                source, view.run, options, theme.named(theme_name), Steps.parse(view.steps)
            )
        except SourceError as error:
            return [*same[:3], str(error), *same[4:]]
        if drawn is None:
            return [True, *same[1:]]
        return [
            False,
            {"height": f"{drawn.height}px"},
            f"{MEASURES[options.key].label} of each layer".capitalize(),
            caption(drawn.rows, options),
            not options.among,
            drawn.rows.layers,
            drawn.names,
            no_update
            if shown == list(options.pinned)
            else pinned_layers.cards_of(options.pinned, drawn.figures),
            graph.to_payload(drawn.figures),
            options.pinned,
        ]
