"""The forest plot: each variant's difference from the baseline with its 95 % interval."""

from __future__ import annotations

from typing import Any

from htga_dashboard.figures.escape import escape
from htga_dashboard.figures.layout import Figure, base_layout
from htga_dashboard.figures.theme import Theme
from htga_dashboard.models.experiment import Report
from htga_dashboard.models.number_format import significant

LABEL = 28
ROW_PX, AROUND_PX = 34, 76
ROOM = 0.06
"""Margin beyond zero, as a share of the largest distance from it."""


def height(report: Report) -> int:
    """Height of the figure in pixels."""
    return AROUND_PX + ROW_PX * max(len(report.variants) - 1, 2)


def figure(report: Report, theme: Theme) -> Figure:
    """A point and an interval for each variant; an interval across zero may be chance."""
    shown = [v for v in report.variants if v.difference is not None]
    places = list(range(len(shown)))
    labels = [escape(v.name, LABEL) for v in shown]
    found: list[Any] = [v.difference for v in shown]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [difference.mean for difference in found],
        "y": places,
        "error_x": {
            "type": "data",
            "array": [difference.half or 0 for difference in found],
            "color": theme.lines[0],
            "thickness": 2,
            "width": 5,
        },
        "marker": {"symbol": "square", "size": 10, "color": theme.lines[0]},
        "customdata": [
            f"{significant(d.mean)} \N{PLUS-MINUS SIGN} "
            f"{'?' if d.half is None else significant(d.half)}, n = {d.n}"
            for d in found
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    edge = ROOM * max((abs(d.mean) + (d.half or 0) for d in found), default=0)
    layout = base_layout(theme, revision=f"forest {report.metric}")
    layout |= {"showlegend": False, "hovermode": "closest"}
    layout["margin"] |= {"l": 24 + round(max(map(len, labels), default=0) * 6.2), "b": 46}
    layout["xaxis"] |= {
        "tickformat": "~g",
        "showgrid": True,
        "title": {
            "text": f"{escape(report.metric)}, difference to {escape(report.baseline, LABEL)}",
            "font": {"size": 12, "color": theme.muted},
        },
        "autorangeoptions": {"include": [-edge, edge]},
        "nticks": 6,
    }
    layout["yaxis"] |= {
        "tickvals": places,
        "ticktext": labels,
        "range": [len(shown) - 0.4, -0.6],
        "fixedrange": True,
        "showgrid": False,
    }
    layout["shapes"] = [
        {
            "type": "line",
            "yref": "paper",
            "x0": 0,
            "x1": 0,
            "y0": 0,
            "y1": 1,
            "line": {"color": theme.muted, "width": 1.25, "dash": "dot"},
        }
    ]
    return {"data": [trace], "layout": layout}
