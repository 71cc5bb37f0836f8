"""The tails of several runs in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from htga_client.wire import Tail, TailSeries
from htga_dashboard.figures.escape import escape
from htga_dashboard.figures.layout import Figure, base_layout, powers
from htga_dashboard.figures.overlay import DASHES, place_of
from htga_dashboard.figures.tail import body
from htga_dashboard.figures.theme import Theme


class RunTail(NamedTuple):
    """The tail of one run.

    Attributes:
        name: Name of the run.
        place: Index of its colour and dash, see `overlay.place_of`.
        tail: Survival function and Hill plot.
    """

    name: str
    place: int
    tail: Tail


class RunIndex(NamedTuple):
    """The tail index of one run over steps; as `RunTail`."""

    name: str
    place: int
    series: TailSeries


def survival(runs: Sequence[RunTail], theme: Theme) -> Figure:
    """The share of entries above each magnitude, a line for each run."""
    traces = [
        _line(run, run.tail.magnitude, run.tail.survival, theme, "%{y:.3~g} above %{x:.3~g}")
        for run in runs
    ]
    ranges = [
        body(np.array(run.tail.magnitude), np.array(run.tail.survival))
        for run in runs
        if run.tail.magnitude
    ]
    layout = base_layout(theme, revision="survival of several")
    layout |= {"showlegend": False, "hovermode": "closest"}
    layout["xaxis"] |= {**powers(theme), "nticks": 4}
    if ranges:
        first, last = zip(*ranges, strict=True)
        layout["xaxis"]["range"] = [min(first), max(last)]
    layout["yaxis"] |= powers(theme)
    return {"data": traces, "layout": layout}


def hill(runs: Sequence[RunTail], theme: Theme) -> Figure:
    """The tail index by the size k of the tail, a line for each run."""
    traces = [
        _line(run, run.tail.k[::-1], run.tail.alpha[::-1], theme, "k = %{x:,}: %{y:.3~f}")
        for run in runs
    ]
    layout = base_layout(theme, revision="hill of several")
    layout |= {"showlegend": False, "hovermode": "closest"}
    layout["xaxis"] |= {"type": "log", "nticks": 5, "tickformat": "~s"}
    layout["yaxis"]["rangemode"] = "tozero"
    return {"data": traces, "layout": layout}


def over_steps(runs: Sequence[RunIndex], theme: Theme) -> Figure:
    """The tail index of one share of the entries over steps, a line for each run."""
    traces = [
        _line(run, run.series.step, run.series.alpha, theme, "step %{x:,}: %{y:.3~f}")
        | {"connectgaps": False}
        for run in runs
    ]
    layout = base_layout(theme, revision="index of several")
    layout |= {"showlegend": False, "hovermode": "closest"}
    return {"data": traces, "layout": layout}


def _line(
    run: RunTail | RunIndex,
    x: Sequence[float],
    y: Sequence[float | None],
    theme: Theme,
    hover: str,
) -> dict[str, Any]:
    hue, pattern = place_of(run.place, theme)
    name = escape(run.name)
    at = f", step {run.tail.step:,}" if isinstance(run, RunTail) else ""
    return {
        "type": "scatter",
        "name": name,
        "x": list(x),
        "y": list(y),
        "mode": "lines",
        "connectgaps": True,  # a tail equal to its neighbour has no index
        "line": {"color": theme.lines[hue], "width": 1.75, "dash": DASHES[pattern]},
        "hovertemplate": f"{name}{at}<br>{hover}<extra></extra>",
    }
