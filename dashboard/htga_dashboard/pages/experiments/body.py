"""The results of a study: a table of variants and the forest plot."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component

from htga_dashboard.components import graph
from htga_dashboard.figures import forest
from htga_dashboard.http.root_path import link
from htga_dashboard.models.experiment import Report, Variant
from htga_dashboard.pages.experiments import tables

FOREST = "forest"
"""Name of the forest plot."""


def body(found: Report) -> list[Component]:
    """The table and the forest plot."""
    plot = html.Article(
        [
            html.Header(
                [
                    html.H2("Differences"),
                    html.Span(f"95 % intervals over seeds; {found.better} is better"),
                ]
            ),
            html.Div(
                graph.place(FOREST),
                className="plot",
                style={"height": f"{forest.height(found)}px"},
            ),
        ],
        className="card",
    )
    table = html.Table(
        [
            html.Thead(html.Tr([html.Th(head) for head in tables.headers(found)])),
            html.Tbody([_row(variant, found) for variant in found.variants]),
        ]
    )
    return [
        html.Article(
            [
                html.Header([html.H2("Variants"), html.Span("mean \N{PLUS-MINUS SIGN} 95 %")]),
                html.Div(table, className="scroll", tabIndex=0),
                html.P(note(found), className="hint none"),
            ],
            className="card",
        ),
        plot if len(found.variants) > 1 else html.Div(),
    ]


def note(found: Report) -> str:
    """How to read the table."""
    text = (
        "Intervals are Student's t over seeds, differences are taken seed by seed. p is that of no "
        "difference, adjusted after Holm for the number of variants; few seeds prove little."
    )
    if found.running:
        text += f" Runs still training, of which the present values count: {found.running}."
    if found.left_out:
        text += f" Runs left out for a newer one of the same seed: {found.left_out}."
    return text


def _row(variant: Variant, found: Report) -> Component:
    name, *cells = tables.row(variant, found)
    best = {
        place + 1 for place, key in enumerate(found.metrics) if found.best.get(key) == variant.name
    }
    chosen = ",".join(run.id for run in variant.runs.values())
    return html.Tr(
        [
            html.Th(dcc.Link(name, href=link(f"/compare?runs={chosen}")), scope="row"),
            *(
                html.Td([html.B(text), html.Span(" \N{BLACK UP-POINTING TRIANGLE}", title="best")])
                if place in best
                else html.Td(text)
                for place, text in enumerate(cells)
            ),
        ]
    )
