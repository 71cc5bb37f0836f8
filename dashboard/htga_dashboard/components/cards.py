"""Pieces that several pages show: a card around a graph, a run's state, a failure, a time."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from htga_dashboard.components import graph
from htga_dashboard.components.attributes import attributes


def card(
    name: str, title: str, note: str, *, about: str = "", wide: bool = False, steps: bool = False
) -> Component:
    """A card with a title, a note and a graph; `steps` is passed on to `graph.place`.

    `about` is for the tooltip of title and note.
    """
    return html.Article(
        [
            html.Header(
                [html.H2(title, title=about or title), html.Span(note, title=about or note)]
            ),
            html.Div(graph.place(name, steps=steps), className="plot"),
        ],
        className="card wide" if wide else "card",
    )


def state(word: str) -> Component:
    """A run's state as a coloured dot and a word."""
    return html.Span(word, className=f"state {word}")


def failure(reason: str) -> Component:
    """Shown in place of the charts when they could not be fetched."""
    return html.Div(
        [html.H2("The charts could not be fetched"), html.P(reason), html.P("Trying again.")],
        className="empty",
        role="alert",
    )


def time_ago(unix: float | None) -> Component:
    """A time that the browser shows as how long ago it was, with the local date in the tooltip."""
    return html.Time() if unix is None else html.Time(**attributes(data_unix=str(unix)))
