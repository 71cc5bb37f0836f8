"""A page with one message, such as a missing run or a collector that does not respond."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component

from htga_dashboard.components.attributes import attributes
from htga_dashboard.http.root_path import link


def layout(title: str, text: str, *, passing: bool = False) -> Component:
    """A page with a title, a sentence and a link to the runs.

    Args:
        title: The problem.
        text: Details.
        passing: Whether the problem may pass; the page then reloads once the collector responds.
    """
    return html.Div(
        [
            html.H1(title),
            html.P(text),
            html.A("Try again", href="", className="button")
            if passing
            else dcc.Link("All runs", href=link("/"), className="button"),
        ],
        className="page message",
        **attributes(data_title=title, **({"data_passing": ""} if passing else {})),
    )
