"""The tail at one step: the survival function with its fit, and the Hill plot."""

from __future__ import annotations

from typing import Any

import numpy as np

from htga_client.statistics.hill import HillPlot
from htga_dashboard.figures.layout import Figure, base_layout, powers
from htga_dashboard.figures.theme import Theme, translucent

BODY = 0.9
"""Share of the entries above the left end of a survival plot before zooming out."""


def survival(
    x: np.ndarray, share: np.ndarray, plot: HillPlot, chosen: int | None, theme: Theme
) -> Figure:
    """The share of entries above each magnitude, and the power law fitted to the chosen tail.

    Args:
        x: Magnitudes, increasing.
        share: Share of the entries at or above each.
        plot: The fits.
        chosen: Index of the chosen fit in `plot`, or None for no fit.
        theme: The palette.
    """
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "name": "entries",
            "x": x.tolist(),
            "y": share.tolist(),
            "mode": "lines",
            "line": {"color": theme.lines[0], "width": 2, "shape": "linear"},
            "hovertemplate": "%{y:.3~g} above<extra></extra>",
        }
    ]
    if chosen is not None:
        at, alpha = plot.threshold[chosen], plot.alpha[chosen]
        beyond = np.array([at, x[-1]])
        level = share[np.searchsorted(x, at)]
        traces.append(
            {
                "type": "scatter",
                "name": "power law",
                "x": beyond.tolist(),
                "y": (level * (beyond / at) ** -alpha).tolist(),
                "mode": "lines",
                "line": {"color": theme.lines[1], "width": 2, "dash": "dash"},
                "hovertemplate": f"slope \N{MINUS SIGN}{alpha:.3g}<extra></extra>",
            }
        )
    layout = base_layout(theme, revision="survival")
    layout |= {"showlegend": True, "hovermode": "closest"}
    layout["margin"] = {**layout["margin"], "t": 28}
    layout["xaxis"] |= {**powers(theme), "nticks": 4, "range": body(x, share) if len(x) else None}
    layout["yaxis"] |= powers(theme)
    return {"data": traces, "layout": layout}


def hill(plot: HillPlot, chosen: int | None, theme: Theme) -> Figure:
    """The tail index against the size k of the tail, with its standard error around it."""
    colour = theme.lines[0]
    low, high = plot.alpha - plot.stderr, plot.alpha + plot.stderr
    band = {
        "type": "scatter",
        "x": [*plot.k.tolist(), *plot.k[::-1].tolist()],
        "y": [*np.maximum(low, 0).tolist(), *high[::-1].tolist()],
        "fill": "toself",
        "fillcolor": translucent(colour, 0.16),
        "line": {"width": 0},
        "hoverinfo": "skip",
    }
    line = {
        "type": "scatter",
        "x": plot.k.tolist(),
        "y": plot.alpha.tolist(),
        "customdata": plot.stderr.tolist(),
        "mode": "lines",
        "line": {"color": colour, "width": 2},
        "hovertemplate": (
            "k = %{x:,}<br>%{y:.3~f} \N{PLUS-MINUS SIGN} %{customdata:.2~g}<extra></extra>"
        ),
    }
    layout = base_layout(theme, revision="hill")
    layout |= {"showlegend": False, "hovermode": "closest"}
    layout["xaxis"] |= {"type": "log", "nticks": 5, "tickformat": "~s"}
    layout["yaxis"]["rangemode"] = "tozero"
    if chosen is not None:
        layout["shapes"] = [_mark(float(plot.k[chosen]), theme)]
    return {"data": [band, line], "layout": layout}


def body(x: np.ndarray, share: np.ndarray) -> list[float]:
    """Range of log10(x) from where one entry in ten is smaller up to the largest entry."""
    first = int(np.searchsorted(-share, -BODY))
    return [float(np.log10(x[max(first - 1, 0)])), float(np.log10(x[-1])) + 0.1]


def _mark(k: float, theme: Theme) -> dict[str, Any]:
    return {
        "type": "line",
        "yref": "paper",
        "x0": k,
        "x1": k,
        "y0": 0,
        "y1": 1,
        "line": {"color": theme.lines[1], "width": 2, "dash": "dash"},
        "label": {
            "text": f"k = {k:,.0f}",
            "textposition": "end",
            "textangle": 0,
            "xanchor": "left",
            "yanchor": "top",
            "font": {"color": theme.muted, "size": 11},
        },
    }
