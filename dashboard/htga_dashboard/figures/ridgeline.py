"""The ridgeline plot: the distribution of |gradient| at some steps, one below the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from htga_client.wire import Histograms
from htga_dashboard.figures.layout import Figure, base_layout, powers
from htga_dashboard.figures.theme import Theme

OVERLAP = 2.2
"""Height of the highest ridge, in distances between two ridges."""

NEGLIGIBLE = 1e-4
"""Bins below this share of the fullest bin, in all columns, are cut off at both ends."""


def figure(histograms: Histograms, theme: Theme) -> Figure:
    """A ridge for each column of `histograms`, from the first at the top to the latest in front."""
    edges = np.array(histograms.edges, np.float64)
    shape = len(histograms.step), max(len(edges) - 1, 0)
    counts = np.array(histograms.counts, np.float64).reshape(shape)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    widths = np.diff(np.log(np.maximum(edges, np.finfo(float).tiny)))
    heights = shares / widths
    kept = np.flatnonzero((heights > NEGLIGIBLE * heights.max(initial=0)).any(axis=0))
    span = slice(kept[0], kept[-1] + 1) if len(kept) else slice(0, 0)
    x = np.sqrt(np.maximum(edges[:-1], np.finfo(float).tiny) * edges[1:])[span].tolist()
    tops = OVERLAP * heights[:, span] / max(heights.max(initial=0), np.finfo(float).tiny)
    last = len(histograms.step) - 1
    traces: list[dict[str, Any]] = []
    for place, (step, top) in enumerate(zip(histograms.step, tops, strict=True)):
        base = -float(place)
        colour = theme.lines[1] if place == last else theme.lines[0]
        line = {"type": "scatter", "mode": "lines", "x": x, "showlegend": False}
        traces += [
            {**line, "y": [base] * len(x), "line": {"width": 0}, "hoverinfo": "skip"},
            {
                **line,
                "y": (base + top).tolist(),
                "fill": "tonexty",
                "fillcolor": _mixed(theme.surface, colour),
                "line": {"color": colour, "width": 1.25, "shape": "spline", "smoothing": 0.6},
                "hovertemplate": f"step {step:,}<br>|g| about %{{x:.2~g}}<extra></extra>",
            },
        ]
    layout = base_layout(theme, revision=f"{histograms.run_id} ridge")
    layout |= {"showlegend": False, "hovermode": "closest"}
    layout["xaxis"] |= {**powers(theme), "nticks": 6}
    every = -(-(last + 1) // 6) or 1
    shown = range(last, -1, -every)
    layout["yaxis"] |= {
        "tickvals": [-place for place in shown],
        "ticktext": [f"{histograms.step[place]:,}" for place in shown],
        "showgrid": False,
    }
    return {"data": traces, "layout": layout}


def _mixed(surface: str, colour: str) -> str:
    """An opaque fill: 18 % of `colour` on `surface`."""
    mix = [
        round(0.82 * int(surface[at : at + 2], 16) + 0.18 * int(colour[at : at + 2], 16))
        for at in (1, 3, 5)
    ]
    return f"rgb({mix[0]},{mix[1]},{mix[2]})"
