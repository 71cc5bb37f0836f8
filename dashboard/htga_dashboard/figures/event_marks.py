"""Marks of a run's events on the axis of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from htga_client.wire import RunEvent
from htga_dashboard.figures.escape import escape
from htga_dashboard.figures.layout import EVENT_AXIS
from htga_dashboard.figures.theme import Theme, translucent

MAX_EVENTS = 100
"""Only the latest are marked; the page lists all."""


def trace(events: Sequence[RunEvent], theme: Theme) -> dict[str, Any]:
    """A flag at the top of the chart and a line down for each event.

    The figure needs the axis of `with_event_axis`. The trace comes after the chart's own, so that
    these can grow without it.
    """
    colours = {"info": theme.muted, "warning": theme.lines[1], "error": theme.danger}
    latest = events[-MAX_EVENTS:]
    return {
        "type": "scatter",
        "mode": "markers",
        "yaxis": EVENT_AXIS,
        "name": "event",
        "x": [event.step for event in latest],
        "y": [1.0] * len(latest),
        "customdata": [_text(event) for event in latest],
        "marker": {
            "symbol": "triangle-up",
            "angle": 180,
            "standoff": 5,  # above the plot, where no label of a level stands
            "size": 9,
            "color": [colours[event.level] for event in latest],
        },
        "error_y": {
            "type": "constant",
            "symmetric": False,
            "value": 0,
            "valueminus": 1,
            "thickness": 1,
            "width": 0,
            "color": translucent(theme.muted, 0.5),
        },
        "hovertemplate": "%{customdata}<extra></extra>",
        "showlegend": False,
        "cliponaxis": False,
    }


def _text(event: RunEvent) -> str:
    title = event.title or event.kind
    return escape(f"{title}: {event.text}" if event.text else title)
