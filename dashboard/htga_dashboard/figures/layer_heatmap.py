"""One scalar of many layers over steps, as a heat map with one row for one or a few layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from htga_dashboard.figures.escape import escape
from htga_dashboard.figures.layout import Figure, base_layout, scale
from htga_dashboard.figures.theme import Theme
from htga_dashboard.models.layer_rows import Floats, LayerRows, Measure
from htga_dashboard.models.number_format import significant

LABEL = 26
"""Maximum length of a row's label; it keeps the end of a name, which differs most."""

HEAVIEST, LIGHTEST = 0.5, 4.0
"""Fixed range of the colour scale for tail indices, so that two figures are comparable."""

TICKS = 8
"""Maximum number of ticks of the colour scale."""

ROW_PX, AROUND_PX, MIN_PX = 11, 48, 150


def height(rows: LayerRows) -> int:
    """Height of the figure in pixels."""
    return max(len(rows.layers) * ROW_PX + AROUND_PX, MIN_PX)


def figure(rows: LayerRows, measure: Measure, theme: Theme, *, revision: str) -> Figure:
    """The heat map; the worst values have the most contrast, non-finite ones are red."""
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
    layout = base_layout(theme, revision=revision)
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
    """A few round numbers within the range, placed at their logarithms."""
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
    return escape(names[0], LABEL, end=True) + more


def _texts(rows: LayerRows) -> list[list[str]]:
    texts = []
    for place, names in enumerate(rows.layers):
        short = [escape(name, end=True) for name in names]
        cells = zip(
            rows.step, rows.source_layer[place], rows.low[place], rows.high[place], strict=True
        )
        texts.append(
            [
                f"{short[who]}<br>step {step:,}<br>{_range(low, high)}"
                for step, who, low, high in cells
            ]
        )
    return texts


def _range(low: float, high: float) -> str:
    if low == high or np.isnan(low):
        return significant(float(low))
    return f"{significant(float(low))} to {significant(float(high))}"


def _nullable(values: Floats) -> list[list[float | None]]:
    """Rounded values as lists, with None for NaN, which JSON lacks."""
    return [[None if np.isnan(one) else one for one in row] for row in values.round(3).tolist()]
