"""The chart of scalars over steps: lines, dots, bands and levels; `figures.points` has the data."""

from __future__ import annotations

from typing import Any

from htga_client.wire import Series
from htga_dashboard.figures.layout import EVENT_AXIS, LOG, Figure, base_layout, with_event_axis
from htga_dashboard.figures.points import points, stride_of
from htga_dashboard.figures.theme import Theme, translucent
from htga_dashboard.models.charts import Chart, Curve

MARKS = "not drawable"
"""Name of the trace that marks values without a place on the axis; the last trace, if any."""

FEW = 60
"""Below this many steps a line shows its points, because a single one would be invisible."""


def figure(series: Series, chart: Chart, theme: Theme) -> Figure:
    """The figure of `chart` with the values of `series`."""
    styles = [
        style
        for place, curve in enumerate(chart.curves)
        for style in _styles(curve, theme, place=chart.hue + place, few=len(series.step) < FEW)
    ]
    layout = base_layout(theme, revision=f"{series.run_id} {chart.name}")
    layout["xaxis"]["autorangeoptions"] = {"clipmin": 0}
    if len(chart.curves) > 1:
        layout |= {"showlegend": True, "margin": {**layout["margin"], "t": 28}}
    else:
        layout["showlegend"] = False
    if chart.log:
        layout["yaxis"] |= LOG
    if chart.levels:
        layout["yaxis"]["autorangeoptions"] = {"include": [level for level, _ in chart.levels]}
        highest = max(chart.levels)
        layout["shapes"] = [_level(level, theme) for level, _ in chart.levels]
        layout["annotations"] = [
            _label(level, label, theme, below=(level, label) == highest and len(chart.levels) > 1)
            for level, label in chart.levels
        ]
    *data, marks = points(series, chart, stride=stride_of(series))
    traces = [{**style, **trace} for style, trace in zip(styles, data, strict=True)]
    if not marks["x"]:
        return {"data": traces, "layout": layout}
    return with_event_axis({"data": [*traces, _mark_style(theme) | marks], "layout": layout})


def is_marked(figure: Figure) -> bool:
    """Whether the figure has a trace of marks, to which more can be appended."""
    return any(trace.get("name") == MARKS for trace in figure["data"])


def _styles(curve: Curve, theme: Theme, *, place: int, few: bool) -> list[dict[str, Any]]:
    colour = theme.lines[place % len(theme.lines)]
    trace = {"type": "scatter", "name": curve.label, "legendgroup": str(place)}
    behind = {
        **trace,
        "mode": "lines",
        "line": {"color": translucent(colour, 0.3), "width": 1},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    band: list[dict[str, Any]] = []
    if curve.stderr:
        edge = {**behind, "line": {"width": 0}}
        inside = {"fill": "tonexty", "fillcolor": translucent(colour, 0.14), "showlegend": True}
        name = {"name": "95 % of single values", "legendgroup": f"{place} band"}
        band = [edge, {**edge, **inside, **name}]
    if curve.dots:
        marker = {"color": translucent(colour, 0.75), "size": 4}
        return [
            *band,
            behind,
            {**trace, "mode": "markers", "marker": marker, "hovertemplate": "%{y:.4~g}"},
        ]
    line = {"color": colour, "width": 1.75, "dash": "dash" if curve.dashed else "solid"}
    return [
        *band,
        behind,
        {
            **trace,
            "mode": "lines+markers" if few else "lines",
            "line": line,
            "marker": {"size": 4},
            "hovertemplate": "%{y:.4~g}%{customdata}",
        },
    ]


def _mark_style(theme: Theme) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": MARKS,
        "yaxis": EVENT_AXIS,
        "marker": {"symbol": "line-ns", "size": 10, "line": {"color": theme.danger, "width": 2}},
        "hovertemplate": "%{customdata}<extra></extra>",
        "showlegend": False,
        "cliponaxis": False,
    }


def _level(level: float, theme: Theme) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": level,
        "y1": level,
        "line": {"color": theme.muted, "width": 1.25, "dash": "dot"},
    }


def _label(level: float, text: str, theme: Theme, *, below: bool) -> dict[str, Any]:
    """The label of a level, above its line, or `below` it where there is no room above."""
    return {
        "text": text,
        "xref": "paper",
        "x": 1,
        "y": level,
        "xanchor": "right",
        "yanchor": "top" if below else "bottom",
        "showarrow": False,
        "borderpad": 0,
        "bgcolor": translucent(theme.surface, 0.75),
        "font": {"color": theme.muted, "size": 11},
    }
