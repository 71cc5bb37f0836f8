"""How every figure looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from htga_dashboard.figures.theme import Theme

FONT = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

Figure = dict[str, Any]
"""What plotly draws: `data`, a list of traces, and `layout`.

Plotly's own classes would check every number of it, which takes longer than all the rest.
"""

RIM = "y2"
"""An axis over that of values, from the foot of a chart, 0, to its top, 1; see `rimmed`."""

LOG: dict[str, Any] = {"type": "log", "tickformat": "~g", "nticks": 3}
"""A logarithmic axis of values; asked for more ticks, plotly writes a 9 beside an 8."""


def scale(colours: Sequence[str]) -> list[tuple[float, str]]:
    """`colours`, evenly spread, as plotly takes a scale of them."""
    return [(place / (len(colours) - 1), colour) for place, colour in enumerate(colours)]


def powers(theme: Theme) -> dict[str, Any]:
    """A logarithmic axis of many decades, each a power of ten, which plotly writes larger."""
    small = {"color": theme.muted, "size": 9}
    return {"type": "log", "tickformat": "", "exponentformat": "power", "tickfont": small}


def rimmed(figure: Figure) -> Figure:
    """The figure with the axis `RIM`.

    Only what has marks on it is to have one: drawing a second axis takes a browser as long as
    drawing all the rest.
    """
    figure["layout"]["yaxis2"] = {
        "overlaying": "y",
        "range": [0, 1],
        "visible": False,
        "fixedrange": True,
    }
    return figure


def look(theme: Theme, *, revision: str) -> dict[str, Any]:
    """The layout that all figures share.

    Args:
        theme: The palette.
        revision: The user's zoom lasts as long as this stays the same.
    """
    axis = {
        "gridcolor": theme.grid,
        "linecolor": theme.grid,
        "zeroline": False,
        "tickfont": {"color": theme.muted, "size": 11},
        "ticklabeloverflow": "allow",
    }
    return {
        "uirevision": revision,
        "paper_bgcolor": theme.surface,
        "plot_bgcolor": theme.surface,
        "font": {"family": FONT, "size": 12, "color": theme.text},
        "margin": {"l": 52, "r": 12, "t": 12, "b": 28},
        "xaxis": {
            **axis,
            "showgrid": False,
            "ticks": "outside",
            "ticklen": 4,
            "tickcolor": theme.grid,
            "separatethousands": True,
            "tickformat": ",~d",
            "nticks": 7,
            "unifiedhovertitle": {"text": "step %{x:,}"},
        },
        "yaxis": {**axis, "nticks": 6, "exponentformat": "e", "ticks": ""},
        "legend": {
            "orientation": "h",
            "x": 0,
            "yref": "container",
            "y": 1,
            "yanchor": "top",
            "font": {"size": 11, "color": theme.muted},
            "itemwidth": 30,
            "bgcolor": "rgba(0,0,0,0)",
        },
        "hovermode": "x unified",
        "hoverlabel": {
            "bgcolor": theme.surface,
            "bordercolor": theme.grid,
            "font": {"color": theme.text, "size": 12},
        },
        "modebar": {
            "bgcolor": "rgba(0,0,0,0)",
            "color": theme.muted,
            "activecolor": theme.text,
        },
    }
