"""Layout, axes and colour scales that all figures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from htga_dashboard.figures.theme import Theme

FONT = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

Figure = dict[str, Any]
"""A plotly figure as a dict: `data`, a list of traces, and `layout`.

Plotly's own classes would validate every number, which takes longer than all the rest.
"""

EVENT_AXIS = "y2"
"""An axis from the foot of a chart, 0, to its top, 1, laid over the axis of values."""

LOG: dict[str, Any] = {"type": "log", "tickformat": "~g", "nticks": 3}
"""A logarithmic axis; with more ticks plotly crowds their labels."""


def scale(colours: Sequence[str]) -> list[tuple[float, str]]:
    """A plotly colour scale of evenly spaced `colours`."""
    return [(place / (len(colours) - 1), colour) for place, colour in enumerate(colours)]


def powers(theme: Theme) -> dict[str, Any]:
    """A logarithmic axis over many decades, labelled with powers of ten in a small font."""
    small = {"color": theme.muted, "size": 9}
    return {"type": "log", "tickformat": "", "exponentformat": "power", "tickfont": small}


def with_event_axis(figure: Figure) -> Figure:
    """The figure with the axis `EVENT_AXIS`; add it only where it is used.

    Drawing a second axis takes a browser as long as drawing all the rest.
    """
    figure["layout"]["yaxis2"] = {
        "overlaying": "y",
        "range": [0, 1],
        "visible": False,
        "fixedrange": True,
    }
    return figure


def base_layout(theme: Theme, *, revision: str) -> dict[str, Any]:
    """The layout that all figures share.

    Args:
        theme: The palette.
        revision: The reader's zoom is kept while this value stays the same.
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
