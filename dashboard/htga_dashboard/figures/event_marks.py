"""Events on the axis of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from htga_client.wire import RunEvent
from htga_dashboard.figures.escape import plain
from htga_dashboard.figures.layout import RIM
from htga_dashboard.figures.theme import Theme, translucent

MOST = 100
"""Events marked at most, the latest; all of them are listed beside the charts."""


def trace(events: Sequence[RunEvent], theme: Theme) -> dict[str, Any]:
    """A flag at the top of a chart, which is to be `rimmed`, for each event, and a line down.

    It comes after the chart's own traces, so that these grow without it.
    """
    colours = {"info": theme.muted, "warning": theme.lines[1], "error": theme.danger}
    latest = events[-MOST:]
    return {
        "type": "scatter",
        "mode": "markers",
        "yaxis": RIM,
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
    said = event.title or event.kind
    return plain(f"{said}: {event.text}" if event.text else said)
