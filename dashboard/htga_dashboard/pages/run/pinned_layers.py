"""The curves of the pinned layers."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from dash import html
from dash.development.base_component import Component

from htga_client.wire import Series
from htga_dashboard.components import graph
from htga_dashboard.figures import curves, theme
from htga_dashboard.figures.layout import Figure
from htga_dashboard.models.charts import LAYER, Chart
from htga_dashboard.models.step_range import Steps

KEYS = [curve.key for chart in LAYER for curve in chart.curves]
"""Keys of the curves of a layer."""


def cards_of(names: Sequence[str], drawn: Container[str]) -> list[Component]:
    """A card for each pinned layer, with those of its charts that are drawn."""
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
                    if _name(place, chart.name) in drawn
                ),
            ],
            className="card",
        )
        for place, name in enumerate(names)
    ]


def figures(found: Sequence[Series], palette: theme.Theme, steps: Steps) -> dict[str, Figure]:
    """The curves of each layer by the name of their graph; none of what was not measured."""
    drawn = {}
    for place, values in enumerate(found):
        measured = [chart for chart in LAYER if _is_measured(values, chart)]
        for chart in measured or LAYER:
            named = replace(chart, name=_name(place, chart.name))
            figure = curves.figure(values, named, palette)
            figure["layout"]["xaxis"] |= steps.axis()
            drawn[named.name] = figure
    return drawn


def _is_measured(values: Series, chart: Chart) -> bool:
    found = [values.keys.get(curve.key) for curve in chart.curves]
    return any(value is not None for one in found if one is not None for value in one.last)


def _name(place: int, chart: str) -> str:
    return f"layer-{place}-{chart}"
