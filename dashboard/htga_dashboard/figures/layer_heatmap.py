"""One value of many layers over steps, as a heat map: a row for each layer, or for a few."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from htga_dashboard.figures.escape import plain
from htga_dashboard.figures.layout import Figure, look, scale
from htga_dashboard.figures.theme import Theme
from htga_dashboard.models.layer_rows import Floats, Measure, Strata
from htga_dashboard.models.number_format import significant

LABEL = 26
"""Letters of a name beside its row; the end of a name says more than its beginning."""

HEAVIEST, LIGHTEST = 0.5, 4.0
"""Tail indices between which colours differ, so that two pictures can be compared."""

TICKS = 8
"""Of the scale of colours at most."""

ROW_PX, AROUND_PX, LEAST_PX = 11, 48, 150


def height(rows: Strata) -> int:
    """Of the picture in pixels."""
    return max(len(rows.layers) * ROW_PX + AROUND_PX, LEAST_PX)


def figure(rows: Strata, measure: Measure, theme: Theme, *, revision: str) -> Figure:
    """The heat map; what tells most has the most contrast, and what is not finite is red."""
    places = list(range(len(rows.layers)))
    shade = rows.shown if measure.low else np.log10(rows.shown)
    common = {"type": "heatmap", "x": rows.step, "y": places, "hoverongaps": False}
    value: dict[str, Any] = {
        **common,
        "z": _nullable(shade),
        "text": _texts(rows),
        "hovertemplate": "%{text}<extra></extra>",
        "colorbar": {
            "thickness": 8,
            "outlinewidth": 0,
            "tickfont": {"size": 10, "color": theme.muted},
            "xpad": 6,
            "ypad": 0,
        },
    }
    if measure.low:
        value |= {"zmin": HEAVIEST, "zmax": LIGHTEST, "colorscale": scale(theme.heat[::-1])}
        value["colorbar"] |= {"tickvals": [1, 2, 3, 4], "ticktext": ["1", "2", "3", "4+"]}
    else:
        value |= {"colorscale": scale(theme.heat)}
        value["colorbar"] |= _ticks(rows.shown)
    broken = {
        **common,
        "z": _nullable(np.where(rows.broken, 1.0, np.nan)),
        "showscale": False,
        "colorscale": [[0, theme.danger], [1, theme.danger]],
        "hoverinfo": "skip",
    }
    layout = look(theme, revision=revision)
    labels = [_label(names) for names in rows.layers]
    longest = max(map(len, labels), default=0)
    layout["margin"] |= {"l": 16 + round(longest * 5.6)}
    layout["hovermode"] = "closest"
    layout["yaxis"] |= {
        "autorange": "reversed",
        "fixedrange": True,
        "showgrid": False,
        "tickmode": "array",
        "tickvals": places,
        "ticktext": labels,
        "tickfont": {"size": 10, "color": theme.muted},
    }
    return {"data": [value, broken], "layout": layout}


def _ticks(values: Floats) -> dict[str, list[Any]]:
    """A few round numbers within the range, at their logarithms."""
    there = np.log10(values[np.isfinite(values)])
    if not len(there):
        return {}
    low, high = there.min(), there.max()
    decades = range(math.floor(low), math.ceil(high) + 1)
    digits = (1, 2, 5) if high - low < 2 else (1,)
    round_ = [digit * 10.0**decade for decade in decades for digit in digits]
    within = [value for value in round_ if low <= math.log10(value) <= high]
    shown = within[:: -(-len(within) // TICKS) or 1]
    return {
        "tickvals": [math.log10(value) for value in shown],
        "ticktext": [f"{value:g}" for value in shown],
    }


def _label(names: tuple[str, ...]) -> str:
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    return plain(names[0], LABEL, end=True) + more


def _texts(rows: Strata) -> list[list[str]]:
    said = []
    for place, names in enumerate(rows.layers):
        short = [plain(name, end=True) for name in names]
        cells = zip(rows.step, rows.whose[place], rows.low[place], rows.high[place], strict=True)
        said.append(
            [
                f"{short[who]}<br>step {step:,}<br>{_range(low, high)}"
                for step, who, low, high in cells
            ]
        )
    return said


def _range(low: float, high: float) -> str:
    if low == high or np.isnan(low):
        return significant(float(low))
    return f"{significant(float(low))} to {significant(float(high))}"


def _nullable(values: Floats) -> list[list[float | None]]:
    """JSON has no NaN."""
    return [[None if np.isnan(one) else one for one in row] for row in values.round(3).tolist()]
