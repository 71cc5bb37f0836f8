"""The tails of several runs in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from htga_client.wire import Tail
from htga_dashboard.figures.escape import plain
from htga_dashboard.figures.layout import Figure, look, powers
from htga_dashboard.figures.overlay import DASHES, place_of
from htga_dashboard.figures.tail import body
from htga_dashboard.figures.theme import Theme


class Own(NamedTuple):
    """The tail of one run.

    Attributes:
        name: Of the run.
        place: Of its colour and its dash.
        tail: What it is.
    """

    name: str
    place: int
    tail: Tail


def survival(runs: Sequence[Own], theme: Theme) -> Figure:
    """The share of entries above each magnitude, a line for each run."""
    traces = [
        _line(own, own.tail.magnitude, own.tail.survival, theme, "%{y:.3~g} above %{x:.3~g}")
        for own in runs
    ]
    ranges = [
        body(np.array(own.tail.magnitude), np.array(own.tail.survival))
        for own in runs
        if own.tail.magnitude
    ]
    layout = look(theme, revision="survival of several")
    layout |= {"showlegend": False, "hovermode": "closest"}
    layout["xaxis"] |= {**powers(theme), "nticks": 4}
    if ranges:
        first, last = zip(*ranges, strict=True)
        layout["xaxis"]["range"] = [min(first), max(last)]
    layout["yaxis"] |= powers(theme)
    return {"data": traces, "layout": layout}


def hill(runs: Sequence[Own], theme: Theme) -> Figure:
    """The tail index by the size k of the tail, a line for each run."""
    traces = [
        _line(own, own.tail.k[::-1], own.tail.alpha[::-1], theme, "k = %{x:,}: %{y:.3~f}")
        for own in runs
    ]
    layout = look(theme, revision="hill of several")
    layout |= {"showlegend": False, "hovermode": "closest"}
    layout["xaxis"] |= {"type": "log", "nticks": 5, "tickformat": "~s"}
    layout["yaxis"]["rangemode"] = "tozero"
    return {"data": traces, "layout": layout}


def _line(
    own: Own, x: Sequence[float], y: Sequence[float | None], theme: Theme, said: str
) -> dict[str, Any]:
    hue, pattern = place_of(own.place, theme)
    name = plain(own.name)
    return {
        "type": "scatter",
        "name": name,
        "x": list(x),
        "y": list(y),
        "mode": "lines",
        "connectgaps": True,  # no index is said where a tail is that of its neighbour
        "line": {"color": theme.lines[hue], "width": 1.75, "dash": DASHES[pattern]},
        "hovertemplate": f"{name}, step {own.tail.step:,}<br>{said}<extra></extra>",
    }
