"""The points of curves: values over steps, with no extreme lost to bucketing.

A bucket of many steps is drawn as its mean and, faintly behind it, a line from its minimum to its
maximum. At the width of a pixel that looks like the raw values, so a spike of one step in a million
stays visible. Dots are single values, thinned for speed, in front of the same faint line, which
covers all values. A NaN, an infinity, or a value that a logarithmic axis cannot show leaves a gap
and a mark at the foot of the chart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from htga_client.wire import Series
from htga_dashboard.models.charts import Chart, Curve
from htga_dashboard.models.number_format import significant

Points = dict[str, list[Any]]
"""Data of one trace: `x`, `y` and, in `customdata`, extra text for hovering."""

Z95 = 1.96
"""95 % of a Gaussian lie within this many standard deviations."""

MAX_DOTS = 100
"""Maximum number of dots of a whole curve: each costs the browser 0.2 ms for every new row."""


class Bucket(NamedTuple):
    """One key over one or more steps, the last of which is `step`."""

    step: int
    mean: float
    low: float
    high: float
    last: float


def stride_of(series: Series) -> int:
    """Steps from one dot to the next, for at most `MAX_DOTS` dots."""
    steps = series.step
    return -(-(steps[-1] - steps[0] + 1) // MAX_DOTS) if steps else 1


def points(series: Series, chart: Chart, *, stride: int, after: int | None = None) -> list[Points]:
    """Data of every trace of `curves.figure`, in order, then the data of its marks.

    Appending the points of later steps to those of earlier ones gives the whole figure.

    Args:
        series: Values of the chart's keys.
        chart: The chart.
        stride: Steps from one dot to the next, from `stride_of`.
        after: The last step drawn before these, or None for the first ones.
    """
    traces: list[Points] = []
    marks: Points = _points([])
    for curve in chart.curves:
        buckets = _buckets(series, curve.key)
        if curve.stderr:
            traces += _around(buckets, _buckets(series, curve.stderr), chart)
        traces.append(_extremes(buckets, curve, chart))
        for axis, values in _marks(buckets, curve, chart).items():
            marks[axis] += values
        if curve.dots:
            buckets = _thinned(buckets, stride=stride, after=after)
            traces.append(_points((step, _drawn(v, chart), "") for step, *_, v in buckets))
        else:
            traces.append(_line(buckets, chart))
    return [*traces, marks]


def _buckets(series: Series, key: str) -> list[Bucket]:
    """The buckets in which `key` was measured."""
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
    """The lower and the upper edge of the band of single values."""
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
    """The first bucket in each range of `stride` steps, except the range that holds `after`."""
    before = [after, *(bucket.step for bucket in buckets)]
    return [
        bucket
        for bucket, last in zip(buckets, before, strict=False)
        if last is None or bucket.step // stride > last // stride
    ]


def _extremes(buckets: Iterable[Bucket], curve: Curve, chart: Chart) -> Points:
    """A line from minimum to maximum; nothing where both are equal and a line passes anyway."""
    rows: list[tuple[int, float | None, str]] = []
    for step, _, low, high, _ in buckets:
        if low < high:
            rows += [(step, _drawn(low, chart), ""), (step, _drawn(high, chart), "")]
        else:
            rows.append((step, _drawn(low, chart) if curve.dots else None, ""))
    return _points(rows)


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
    """`value`, or None if the chart's axis cannot show it."""
    return value if math.isfinite(value) and (value > 0 or not chart.log) else None
