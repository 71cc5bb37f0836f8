"""The histogram of |gradient| over steps, as a heat map.

Each column is one step, or one bucket of steps, and shades every bin by its share of the column's
entries, on a logarithmic scale: the tail is where the shares are small.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from htga_client.wire import Histograms
from htga_dashboard.theme import Theme, layout

ROWS = 72
"""Bins drawn at most; a card is about three times as many pixels high."""

FLOOR = -7.0
"""Shares below 10 to this power look alike."""


def edges_of(histograms: Histograms) -> list[float]:
    """The bin edges to draw: every few of the histograms' own, so that at most `ROWS` bins remain."""
    size = max(1, -(-(len(histograms.edges) - 1) // ROWS))
    edges = histograms.edges[::size]
    if edges and edges[-1] != histograms.edges[-1]:
        edges.append(histograms.edges[-1])
    if edges and edges[0] <= 0:
        edges[0] = edges[1] / 2
    return edges


def columns(histograms: Histograms, edges: list[float]) -> dict[str, list[Any]] | None:
    """The data of the heat map: `x` of length S, and `z` of S columns on the bins of `edges`.

    None where entries lie outside these edges, so that nothing is drawn rather than too little.
    """
    counts = np.asarray(histograms.counts, dtype=np.int64).reshape(len(histograms.step), -1)
    if not counts.size:
        return {"x": list(histograms.step), "z": [[None] * (len(edges) - 1) for _ in counts]}
    middles = np.convolve(histograms.edges, [0.5, 0.5], mode="valid")
    rows = np.searchsorted(edges, middles, side="right") - 1
    inside = (rows >= 0) & (rows < len(edges) - 1)
    if counts[:, ~inside].any():
        return None
    merged = np.zeros((len(counts), len(edges) - 1))
    np.add.at(merged.T, rows[inside], counts[:, inside].T)
    shares = merged / np.maximum(merged.sum(axis=1, keepdims=True), 1)
    with np.errstate(divide="ignore"):
        shades = np.maximum(np.log10(shares), FLOOR)
    shades[merged == 0] = np.nan
    z = np.where(np.isnan(shades), None, np.round(shades, 3).astype(object))
    return {"x": list(histograms.step), "z": z.tolist()}


def figure(histograms: Histograms, theme: Theme) -> go.Figure:
    """The heat map in the colours of `theme`."""
    edges = edges_of(histograms)
    trace = {
        "type": "heatmap",
        "transpose": True,
        "y": edges,
        "zmin": FLOOR,
        "zmax": 0,
        "colorscale": list(theme.heat),
        "hoverongaps": False,
        "hovertemplate": (
            "step %{x:,}<br>|g| about %{y:.2~g}<br>share 10<sup>%{z:.1f}</sup><extra></extra>"
        ),
        "colorbar": {
            "thickness": 8,
            "outlinewidth": 0,
            "tickvals": [-6, -4, -2, 0],
            "ticktext": ["1 ppm", "0.01 %", "1 %", "100 %"],
            "tickfont": {"size": 10, "color": theme.muted},
            "xpad": 6,
        },
        **(columns(histograms, edges) or {}),
    }
    look = layout(theme, revision=f"{histograms.run_id} heat")
    look["hovermode"] = "closest"
    look["margin"] |= {"t": 10}
    look["yaxis"] |= {"type": "log", "dtick": 1 if _decades(edges) < 7 else 2, "showgrid": False}
    return go.Figure(data=[trace], layout=look)


def _decades(edges: list[float]) -> float:
    return float(np.log10(edges[-1] / edges[0])) if len(edges) > 1 else 0.0
