"""One scalar of some layers over steps: a small chart for each, all on one scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from htga_dashboard.figures.escape import escape
from htga_dashboard.figures.layout import LOG, Figure, base_layout
from htga_dashboard.figures.theme import Theme, translucent
from htga_dashboard.models.layer_rows import LayerRows, Measure

MAX_CHARTS = 24
"""The first charts in the chosen order are drawn."""

LABEL = 30
ROW_PX, AROUND_PX = 112, 34
GAP = 0.025
TITLE = 0.2
"""Share of a row's height that holds the layer's name."""


def height(rows: LayerRows, across: int) -> int:
    """Height of the figure in pixels, with `across` charts side by side."""
    return _down(rows, across) * ROW_PX + AROUND_PX


def figure(
    rows: LayerRows, measure: Measure, theme: Theme, *, revision: str, across: int
) -> Figure:
    """A chart for each row, in order; a row of several layers shows the worst of them."""
    layout = base_layout(theme, revision=revision)
    x, y = layout.pop("xaxis"), layout.pop("yaxis")
    y |= {} if measure.low else LOG
    down = _down(rows, across)
    colour = theme.lines[0 if measure.low else 2]
    traces: list[dict[str, Any]] = []
    names: list[dict[str, Any]] = []
    for place, layers in enumerate(rows.layers[:MAX_CHARTS]):
        row, column = divmod(place, across)
        left, right = column / across + GAP * (column > 0), (column + 1) / across
        top, bottom = 1 - (row + TITLE) / down, 1 - (row + 0.86) / down
        end = str(place + 1) if place else ""
        first = place == 0
        layout[f"xaxis{end}"] = {
            **x,
            "domain": [left, right],
            "anchor": f"y{end}",
            "nticks": 4,
            "showticklabels": row == down - 1 or place + across >= len(rows.layers[:MAX_CHARTS]),
            **({} if first else {"matches": "x"}),
        }
        layout[f"yaxis{end}"] = {
            **y,
            "domain": [bottom, top],
            "anchor": f"x{end}",
            "nticks": 3 if measure.low else 2,
            "showticklabels": column == 0,
            **({} if first else {"matches": "y"}),
        }
        common = {"type": "scatter", "mode": "lines", "xaxis": f"x{end}", "yaxis": f"y{end}"}
        ends = np.stack([rows.low[place], rows.high[place]], axis=1).ravel()
        traces += [
            {
                **common,
                "x": np.repeat(rows.step, 2),
                "y": ends,
                "line": {"color": translucent(colour, 0.3), "width": 1},
                "hoverinfo": "skip",
            },
            {
                **common,
                "x": rows.step,
                "y": rows.shown[place],
                "line": {"color": colour, "width": 1.5},
                "hovertemplate": "step %{x:,}<br>%{y:.4~g}<extra></extra>",
            },
        ]
        broken = rows.broken[place].any()
        more = f" +{len(layers) - 1}" if len(layers) > 1 else ""
        names.append(
            {
                "text": escape(layers[0], LABEL, end=True) + more,
                "xref": "paper",
                "yref": "paper",
                "x": left,
                "y": top,
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {
                    "size": 11,
                    "color": theme.danger if broken else theme.text,
                },
            }
        )
    layout |= {"annotations": names, "showlegend": False, "hovermode": "closest"}
    return {"data": traces, "layout": layout}


def _down(rows: LayerRows, across: int) -> int:
    return -(-min(len(rows.layers), MAX_CHARTS) // across) or 1
