"""A page that says one thing: that something is not there, or does not answer."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component

from htga_dashboard.components.attributes import attributes


def layout(title: str, text: str, *, passing: bool = False) -> Component:
    """A page of a title, a sentence, and the way back to the runs.

    Args:
        title: What is the matter.
        text: More about it.
        passing: Whether it may be over soon; the browser then tries again when the collector does
            answer.
    """
    return html.Div(
        [
            html.H1(title),
            html.P(text),
            html.A("Try again", href="", className="button")
            if passing
            else dcc.Link("All runs", href="/", className="button"),
        ],
        className="page message",
        **attributes(data_title=title, **({"data_passing": ""} if passing else {})),
    )
