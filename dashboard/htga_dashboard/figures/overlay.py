"""The chart that compares runs or groups of runs, one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from htga_client.wire import Axis
from htga_dashboard.figures.escape import escape
from htga_dashboard.figures.layout import LOG, Figure, base_layout
from htga_dashboard.figures.theme import Theme, translucent
from htga_dashboard.models.lines import Floats, Line

DASHES = ("solid", "dash", "dot", "dashdot")
"""Tell lines of one colour apart once all colours are in use."""

UNIFIED = 8
"""Up to this many lines, hovering lists all of them; beyond it, only the nearest."""

FEW = 60
"""Below this many points a line shows them, because a single one would be invisible."""

UNITS = (("s", 1.0, 600.0), ("min", 60.0, 36_000.0), ("h", 3600.0, float("inf")))
"""Units of relative time: name, seconds in one, and the longest axis in seconds that uses it."""


def figure(
    lines: Sequence[tuple[str, Line]], *, axis: Axis, log: bool, theme: Theme, revision: str
) -> Figure:
    """A figure with lines and their bands.

    Args:
        lines: Name and data of each line, in the order of the colours.
        axis: Meaning of x.
        log: Whether the y axis is logarithmic.
        theme: The palette.
        revision: The reader's zoom is kept while this value stays the same.
    """
    unit, seconds = _unit([line for _, line in lines])
    floor = _floor([line for _, line in lines])
    traces = [
        trace
        for place, (name, line) in enumerate(lines)
        for trace in _traces(
            escape(name), line, place, theme, axis=axis, seconds=seconds, log=log, floor=floor
        )
    ]
    layout = base_layout(theme, revision=revision)
    layout["showlegend"] = False
    layout["hovermode"] = "x unified" if len(lines) <= UNIFIED else "closest"
    if log:
        layout["yaxis"] |= LOG
    if axis == "time":
        layout["xaxis"] |= {"type": "date", "tickformat": None}
        layout["xaxis"]["unifiedhovertitle"] = {"text": "%{x|%d %b, %H:%M:%S}"}
    elif axis == "relative":
        layout["xaxis"] |= {"tickformat": "~g", "ticksuffix": f" {unit}"}
        layout["xaxis"]["unifiedhovertitle"] = {"text": f"%{{x:.4~g}} {unit}"}
    return {"data": traces, "layout": layout}


def place_of(place: int, theme: Theme) -> tuple[int, int]:
    """Indices of the colour and the dash of the line at `place`: all colours first, then dashes."""
    dash, colour = divmod(place, len(theme.lines))
    return colour, dash % len(DASHES)


def _traces(
    name: str,
    line: Line,
    place: int,
    theme: Theme,
    *,
    axis: Axis,
    seconds: float,
    log: bool,
    floor: float,
) -> list[dict[str, Any]]:
    hue, pattern = place_of(place, theme)
    colour = theme.lines[hue]
    x = line.x * 1e3 if axis == "time" else line.x / seconds if axis == "relative" else line.x
    common = {"type": "scatter", "name": name, "legendgroup": str(place)}
    hidden = {**common, "mode": "lines", "hoverinfo": "skip", "showlegend": False}
    is_group = bool((line.n > 1).any())
    if is_group:
        low = np.where(line.low > 0, line.low, floor) if log else line.low
        around = {
            **hidden,
            "x": [*x.tolist(), *x[::-1].tolist()],
            "y": _drawn(np.concatenate([low, line.high[::-1]]), log=log),
            "fill": "toself",
            "fillcolor": translucent(colour, 0.16),
            "line": {"width": 1, "color": translucent(colour, 0.3)},
        }
    else:
        around = {
            **hidden,
            "x": np.repeat(x, 2).tolist(),
            "y": _drawn(np.stack([line.low, line.high], axis=1).ravel(), log=log),
            "line": {"color": translucent(colour, 0.3), "width": 1},
        }
    shown = {
        **common,
        "x": x.tolist(),
        "y": _drawn(line.y, log=log),
        "mode": "lines+markers" if len(x) < FEW else "lines",
        "line": {"color": colour, "width": 1.75, "dash": DASHES[pattern]},
        "marker": {"size": 4},
        "customdata": [f"  n={n}" if is_group else "" for n in line.n.tolist()],
        "hovertemplate": "%{y:.4~g}%{customdata}",
    }
    return [around, shown]


def _unit(lines: Sequence[Line]) -> tuple[str, float]:
    longest = max((float(line.x[-1]) for line in lines if len(line.x)), default=0.0)
    return next((name, seconds) for name, seconds, upto in UNITS if longest <= upto)


def _floor(lines: Sequence[Line]) -> float:
    """The lowest positive value, where a band below zero ends on a logarithmic axis."""
    values = np.concatenate([np.empty(0), *(v for line in lines for v in (line.y, line.low))])
    return float(values[np.isfinite(values) & (values > 0)].min(initial=np.inf))


def _drawn(values: Floats, *, log: bool) -> list[float | None]:
    """Values, or None where the axis cannot show them."""
    fits = np.isfinite(values) & ((values > 0) | (not log))
    return [
        value if fit else None for value, fit in zip(values.tolist(), fits.tolist(), strict=True)
    ]
