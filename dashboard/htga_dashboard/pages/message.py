"""A page that says one thing: that something is not there, or does not answer."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component

from htga_dashboard.attributes import attributes


def layout(title: str, text: str) -> Component:
    """A page of a title, a sentence, and the way back to the runs."""
    return html.Div(
        [
            html.H1(title),
            html.P(text),
            dcc.Link("All runs", href="/", className="button"),
        ],
        className="page message",
        **attributes(data_title=title),
    )
