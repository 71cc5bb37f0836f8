"""Values over steps as lines and dots, with nothing lost where steps are put together.

A bucket of many steps is drawn as its mean and, faintly behind it, as a line from its minimum to
its maximum: at the width of a pixel that is what the raw values would look like, so a spike of one
step in a million stays a spike. Dots are single values, thinned to what a browser draws swiftly,
before the same faint line, which leaves none out. A NaN or an infinity leaves a gap and a mark at
the foot of the chart, as does a value that a logarithmic axis has no place for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from htga_client.wire import Series
from htga_dashboard.charts import Chart, Curve
from htga_dashboard.digits import significant
from htga_dashboard.figures.look import LOG, Figure, look
from htga_dashboard.theme import Theme, translucent

Points = dict[str, list[Any]]
"""The data of one trace: `x`, `y` and, in `customdata`, what hovering says besides."""

FEW = 60
"""Below this many steps a line shows its points too; a lone one could not be seen otherwise."""

Z95 = 1.96
"""Of a Gaussian, 95 % lie within so many standard deviations."""

DOTS = 200
"""Dots of one curve at most, when it is drawn whole."""


class Bucket(NamedTuple):
    """One key over one or more steps, up to `step`."""

    step: int
    mean: float
    low: float
    high: float
    last: float


def stride_of(series: Series) -> int:
    """From one dot to the next, in steps, so that there are `DOTS` at most."""
    steps = series.step
    return -(-(steps[-1] - steps[0] + 1) // DOTS) if steps else 1


def points(series: Series, chart: Chart, *, stride: int, after: int | None = None) -> list[Points]:
    """The data of every trace of `figure`, in its order.

    Appending those of later steps to those of earlier ones gives the picture of them all.

    Args:
        series: Holds the chart's keys.
        chart: What to draw.
        stride: From one dot to the next, in steps; from `stride_of`.
        after: The last step drawn before these, or None for the first ones.
    """
    traces: list[Points] = []
    marks: Points = _points([])
    for curve in chart.curves:
        buckets = _buckets(series, curve.key)
        if curve.stderr:
            traces += _around(buckets, _buckets(series, curve.stderr), chart)
        traces.append(_extremes(buckets, chart))
        for axis, values in _marks(buckets, curve, chart).items():
            marks[axis] += values
        if curve.dots:
            buckets = _thinned(buckets, stride=stride, after=after)
            traces.append(_points((step, _drawn(v, chart), "") for step, *_, v in buckets))
        else:
            traces.append(_line(buckets, chart))
    return [*traces, marks]


def figure(series: Series, chart: Chart, theme: Theme) -> Figure:
    """`chart` of `series` in the colours of `theme`."""
    styles = [
        style
        for place, curve in enumerate(chart.curves)
        for style in _styles(curve, theme, place=chart.hue + place, few=len(series.step) < FEW)
    ]
    styles.append(_mark_style(theme))
    layout = look(theme, revision=f"{series.run_id} {chart.name}")
    layout["xaxis"]["autorangeoptions"] = {"clipmin": 0}
    layout["yaxis2"] = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    if len(chart.curves) > 1:
        layout |= {"showlegend": True, "margin": {**layout["margin"], "t": 24}}
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
    data = points(series, chart, stride=stride_of(series))
    return {
        "data": [{**style, **trace} for style, trace in zip(styles, data, strict=True)],
        "layout": layout,
    }


def _buckets(series: Series, key: str) -> list[Bucket]:
    """The buckets in which `key` was measured at all."""
    if key not in series.keys:
        return []
    lists = series.keys[key]
    rows = zip(series.step, lists.mean, lists.min, lists.max, lists.last, strict=True)
    measured = [row for row in rows if None not in row]
    return [Bucket(*row) for row in measured]  # type: ignore[arg-type]  # mypy misses the filter


def _line(buckets: Iterable[Bucket], chart: Chart) -> Points:
    return _points(
        (
            bucket.step,
            _drawn(bucket.mean, chart),
            f"  ({significant(bucket.low)} to {significant(bucket.high)})"
            if bucket.low < bucket.high
            else "",
        )
        for bucket in buckets
    )


def _around(buckets: list[Bucket], errors: list[Bucket], chart: Chart) -> list[Points]:
    """The lower and the upper edge of where single values should lie."""
    half = {error.step: Z95 * error.mean for error in errors}
    return [
        _points(
            (step, _drawn(bucket.mean + sign * half[step], chart), "")
            for bucket in buckets
            if (step := bucket.step) in half
        )
        for sign in (-1, 1)
    ]


def _thinned(buckets: list[Bucket], *, stride: int, after: int | None) -> list[Bucket]:
    """The first bucket in each stretch of `stride` steps that `after` does not lie in."""
    before = [after, *(bucket.step for bucket in buckets)]
    return [
        bucket
        for bucket, last in zip(buckets, before, strict=False)
        if last is None or bucket.step // stride > last // stride
    ]


def _extremes(buckets: Iterable[Bucket], chart: Chart) -> Points:
    return _points(
        (bucket.step, _drawn(value, chart), "")
        for bucket in buckets
        for value in ((bucket.low, bucket.high) if bucket.low < bucket.high else (bucket.low,))
    )


def _marks(buckets: Iterable[Bucket], curve: Curve, chart: Chart) -> Points:
    return _points(
        (bucket.step, 0.0, f"{curve.label}: {word}")
        for bucket in buckets
        for word in dict.fromkeys(
            significant(value) for value in bucket[1:] if _drawn(value, chart) is None
        )
    )


def _points(rows: Iterable[tuple[int, float | None, str]]) -> Points:
    data: Points = {"x": [], "y": [], "customdata": []}
    for step, value, text in rows:
        data["x"].append(step)
        data["y"].append(value)
        data["customdata"].append(text)
    return data


def _drawn(value: float, chart: Chart) -> float | None:
    """`value`, or None where it has no place on the chart's axis."""
    return value if math.isfinite(value) and (value > 0 or not chart.log) else None


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
        "name": "not drawable",
        "yaxis": "y2",
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
    """What a level is; it stands upon its line, or `below`, where there is no room above."""
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
