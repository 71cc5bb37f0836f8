"""The curves of the pinned layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dash import html
from dash.development.base_component import Component

from htga_client.wire import Series
from htga_dashboard.components import graph
from htga_dashboard.figures import curves, theme
from htga_dashboard.figures.layout import Figure
from htga_dashboard.models.charts import LAYER
from htga_dashboard.models.step_range import Steps

KEYS = [curve.key for chart in LAYER for curve in chart.curves]
"""Keys of the curves of a layer."""


def cards_of(names: Sequence[str]) -> list[Component]:
    """A card for each pinned layer."""
    return [
        html.Article(
            [
                html.Header(html.H2(name, title=name)),
                *(
                    html.Div(
                        [
                            html.Small(", ".join(filter(None, (chart.title, chart.note)))),
                            graph.place(_name(place, chart.name), steps=True),
                        ],
                        className="plot small",
                    )
                    for chart in LAYER
                ),
            ],
            className="card",
        )
        for place, name in enumerate(names)
    ]


def figures(found: Sequence[Series], palette: theme.Theme, steps: Steps) -> dict[str, Figure]:
    """The curves of each layer by the name of their graph."""
    drawn = {}
    for place, values in enumerate(found):
        for chart in LAYER:
            named = replace(chart, name=_name(place, chart.name))
            figure = curves.figure(values, named, palette)
            figure["layout"]["xaxis"] |= steps.axis()
            drawn[named.name] = figure
    return drawn


def _name(place: int, chart: str) -> str:
    return f"layer-{place}-{chart}"
