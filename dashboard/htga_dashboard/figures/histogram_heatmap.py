"""The histogram of |gradient| over steps, as a heat map.

A column is one step or one bucket of steps. The shade of a bin is the logarithm of its share of the
column's entries, which makes the small shares of the tail visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from htga_client.wire import Histograms
from htga_dashboard.figures.layout import Figure, base_layout, powers, scale
from htga_dashboard.figures.theme import Theme

ROWS = 72
"""Maximum number of bins; a card is about three times as many pixels high."""

FLOOR = -7.0
"""Shares below 10 to this power get the same colour."""

SHARES = {power: f"{10.0 ** (power + 2):.{max(-2 - power, 0)}f} %" for power in range(-6, 1)}
"""Labels of the colour scale, 0.0001 % to 100 %, by power of ten."""


def edges_of(histograms: Histograms) -> list[float]:
    """Edges of the bins to draw: at most `ROWS`, with room for a few more at both ends.

    Inner edges are edges of the histograms, so later histograms fit without splitting a bin.
    """
    edges = [edge for edge in histograms.edges if edge > 0]
    if len(edges) < 2:
        return []
    every = -(-(len(edges) - 1) // (ROWS - 4))
    return [
        edges[0] / 4,
        edges[0] / 2,
        *edges[:-1:every],
        edges[-1],
        edges[-1] * 2,
        edges[-1] * 4,
    ]


def columns(histograms: Histograms, edges: Sequence[float]) -> dict[str, list[Any]] | None:
    """Data of the heat map: `x` with S steps, and `z` with S columns over the bins of `edges`.

    Returns None if entries lie outside the edges, because dropping them would be silent.
    """
    bins = max(len(edges) - 1, 0)
    counts = np.array(histograms.counts, dtype=np.float64)
    if counts.size == 0:
        return {"x": list(histograms.step), "z": [[None] * bins for _ in histograms.step]}
    middles = (np.array(histograms.edges[:-1]) + np.array(histograms.edges[1:])) / 2
    place = np.searchsorted(edges, middles) - 1
    inside = (place >= 0) & (place < bins)
    if counts[:, ~inside].any():
        return None
    merged = np.zeros((len(counts), bins))
    np.add.at(merged.T, place[inside], counts[:, inside].T)
    shares = merged / np.maximum(merged.sum(axis=1, keepdims=True), 1)
    shades = np.round(np.log10(np.maximum(shares, 10**FLOOR)), 3).astype(object)
    shades[merged == 0] = None
    return {"x": list(histograms.step), "z": shades.tolist()}


def figure(histograms: Histograms, theme: Theme) -> Figure:
    """The heat map in the colours of `theme`."""
    edges = edges_of(histograms)
    data = columns(histograms, edges) or {"x": [], "z": []}
    shades = [shade for column in data["z"] for shade in column if shade is not None]
    low, high = np.floor(min(shades, default=FLOOR)), np.ceil(max(shades, default=0.0))
    trace = {
        "type": "heatmap",
        "transpose": True,
        "y": edges,
        "zmin": low,
        "zmax": high,
        "colorscale": scale(theme.heat),
        "hoverongaps": False,
        "hovertemplate": (
            "step %{x:,}<br>|g| about %{y:.2~g}<br>share 10<sup>%{z:.1f}</sup><extra></extra>"
        ),
        "colorbar": {
            "thickness": 8,
            "outlinewidth": 0,
            "tickvals": list(SHARES),
            "ticktext": list(SHARES.values()),
            "tickfont": {"size": 10, "color": theme.muted},
            "xpad": 6,
            "ypad": 0,
        },
        **data,
    }
    layout = base_layout(theme, revision=f"{histograms.run_id} heat")
    layout["hovermode"] = "closest"
    layout["yaxis"] |= {**powers(theme), "showgrid": False}
    return {"data": [trace], "layout": layout}
