from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_client.wire import Buckets, Series
from htga_dashboard.figures import curves, points, theme
from htga_dashboard.models.charts import Chart, Curve, charts_of
from tests.support.plotly import checked
from tests.support.series import RUN_ID, run, same, series

draw = checked(curves.figure)

LINE = Chart(name="norm", title="t", note="n", curves=(Curve(key="grad_norm", label="grad_norm"),))
LOG = Chart(
    name="norm", title="t", note="n", curves=(Curve(key="grad_norm", label="grad_norm"),), log=True
)
DOTS = Chart(
    name="tail",
    title="t",
    note="n",
    curves=(
        Curve(key="alpha_hat", label="alpha_hat", dots=True),
        Curve(key="alpha_bar", label="alpha_bar"),
    ),
    levels=((2.0, "α = 2"),),
)


def bucketed(**buckets: Buckets) -> Series:
    length = len(next(iter(buckets.values())).mean)
    return Series(
        run_id=RUN_ID,
        layer="",
        step=[100 * (i + 1) - 1 for i in range(length)],
        time=[None] * length,
        keys=buckets,
        buckets=length,
        total=100 * length,
        cursor=str(100 * length - 1),
    )


def test_a_line_goes_through_the_values() -> None:
    figure = draw(series(range(3), grad_norm=[0.1, 0.2, 0.3]), LINE, theme.LIGHT)
    line = figure.data[1]
    assert list(line.x) == [0, 1, 2]
    assert list(line.y) == [0.1, 0.2, 0.3]
    assert line.line.color == theme.LIGHT.lines[0]


def test_the_spike_of_one_step_in_a_bucket_stays_in_sight() -> None:
    spike = Buckets(mean=[1.0, 3.5], min=[0.9, 0.9], max=[1.1, 250.0], last=[1.0, 1.0])
    behind, line = draw(bucketed(grad_norm=spike), LINE, theme.LIGHT).data
    assert list(behind.x) == [99, 99, 199, 199]
    assert list(behind.y) == [0.9, 1.1, 0.9, 250.0]
    assert list(line.y) == [1.0, 3.5]
    assert "0.9 to 250" in line.customdata[1]


def test_nothing_is_drawn_behind_a_line_where_each_of_its_values_is_raw() -> None:
    mixed = Buckets(mean=[1.0, 2.0, 3.0], min=[0.5, 2.0, 2.5], max=[1.5, 2.0, 3.5], last=[1.0] * 3)
    behind, line = draw(bucketed(grad_norm=mixed), LINE, theme.LIGHT).data
    assert list(behind.y) == [0.5, 1.5, None, 2.5, 3.5]
    assert list(line.y) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_leaves_a_gap_and_a_mark(value: float) -> None:
    _, line, marks = draw(series(range(3), grad_norm=[0.1, value, 0.3]), LINE, theme.DARK).data
    assert list(line.y) == [0.1, None, 0.3]
    assert list(marks.x) == [1]
    assert list(marks.y) == [0.0]
    assert marks.yaxis == "y2"
    assert marks.marker.line.color == theme.DARK.danger


def test_a_nan_within_a_bucket_is_marked_although_its_extremes_are_finite() -> None:
    hidden = Buckets(mean=[math.nan], min=[0.1], max=[0.2], last=[0.15])
    behind, line, marks = draw(bucketed(grad_norm=hidden), LINE, theme.LIGHT).data
    assert list(behind.y) == [0.1, 0.2]
    assert list(line.y) == [None]
    assert list(marks.customdata) == ["grad_norm: NaN"]


def test_a_zero_on_a_logarithmic_axis_is_marked_and_on_a_linear_one_drawn() -> None:
    values = series(range(2), grad_norm=[0.0, 0.5])
    _, line, marks = draw(values, LOG, theme.LIGHT).data
    assert list(line.y) == [None, 0.5]
    assert list(marks.customdata) == ["grad_norm: 0"]
    _, line = draw(values, LINE, theme.LIGHT).data
    assert list(line.y) == [0.0, 0.5]


def test_a_value_that_was_not_measured_is_left_out_and_leaves_no_gap() -> None:
    _, line = draw(series(range(4), grad_norm=[1.0, None, None, 4.0]), LINE, theme.LIGHT).data
    assert list(line.x) == [0, 3]
    assert list(line.y) == [1.0, 4.0]


def test_only_a_chart_with_marks_has_the_axis_that_they_stand_on() -> None:
    plain = draw(series(range(2), grad_norm=[1.0, 2.0]), LINE, theme.LIGHT)
    marked = draw(series(range(2), grad_norm=[1.0, math.nan]), LINE, theme.LIGHT)
    assert "yaxis2" not in plain.to_dict()["layout"]
    assert list(marked.layout.yaxis2.range) == [0, 1]


def test_the_first_steps_are_visible_as_points() -> None:
    few = draw(series([0], grad_norm=[1.0]), LINE, theme.LIGHT)
    many = draw(series(range(100), grad_norm=[1.0] * 100), LINE, theme.LIGHT)
    assert few.data[1].mode == "lines+markers"
    assert many.data[1].mode == "lines"


def test_a_run_without_steps_gives_an_empty_figure() -> None:
    figure = draw(series([]), DOTS, theme.LIGHT)
    assert all(list(trace.x) == [] for trace in figure.data)


def test_the_tail_index_is_drawn_as_dots_beside_its_smoothed_line_and_two() -> None:
    figure = draw(series(range(2), alpha_hat=[1.4, 1.6], alpha_bar=[1.5, 1.5]), DOTS, theme.LIGHT)
    _, dots, _, line = figure.data
    assert dots.mode == "markers"
    assert list(dots.y) == [1.4, 1.6]
    assert line.mode.startswith("lines")
    assert figure.layout.shapes[0].y0 == figure.layout.shapes[0].y1 == 2.0
    assert list(figure.layout.yaxis.autorangeoptions.include) == [2.0]


def test_dots_are_thinned_to_measured_values_and_none_is_lost_behind_them() -> None:
    values = [1.5 + 0.001 * i for i in range(5000)]
    both = series(range(5000), alpha_hat=values, alpha_bar=values)
    behind, dots, *_ = draw(both, DOTS, theme.LIGHT).data
    assert len(dots.x) == points.MAX_DOTS
    assert all(values[step] == y for step, y in zip(dots.x, dots.y, strict=True))
    assert list(behind.y) == values


def test_gradient_norms_have_a_logarithmic_axis() -> None:
    log = {chart.name for chart in charts_of(run()) if chart.log}
    assert log == {"norm"}
    figure = draw(series([0], grad_norm=[1.0]), LOG, theme.LIGHT)
    assert figure.layout.yaxis.type == "log"


def test_the_zoom_outlives_new_data_and_another_theme() -> None:
    first = draw(series([0], grad_norm=[1.0]), LINE, theme.LIGHT)
    later = draw(series(range(9), grad_norm=[1.0] * 9), LINE, theme.DARK)
    assert first.layout.uirevision == later.layout.uirevision


def test_a_metrics_name_never_gets_into_a_figure() -> None:
    name = "<img src=x onerror=alert(1)><b>%{y}"
    (chart,) = charts_of(run(summary={}, metrics=(name,)))
    values = series(range(2), **{name: [1.0, math.nan]})
    assert list(draw(values, chart, theme.LIGHT).data[1].y) == [1.0, None]
    assert "onerror" not in draw(values, chart, theme.LIGHT).to_json()


def test_figures_hold_plain_lists_which_a_browser_can_extend() -> None:
    figure = draw(series(range(3), grad_norm=[1.0, 2.0, 3.0]), LINE, theme.LIGHT)
    for trace in json.loads(figure.to_json())["data"]:
        assert all(isinstance(trace[name], list) for name in ("x", "y", "customdata"))


FLOATS = st.floats(min_value=-1e6, max_value=1e6) | st.sampled_from([math.inf, -math.inf])


def check_that_points_add_up(
    values: list[float | None], chart: Chart, *, cut: int, stride: int
) -> None:
    def of(steps: range) -> list[dict[str, list[Any]]]:
        keys = {curve.key: [values[step] for step in steps] for curve in chart.curves}
        after = steps.start - 1 if steps.start else None
        return points.points(series(steps, **keys), chart, stride=stride, after=after)

    cut = min(cut, len(values))
    joined = [
        {name: early[name] + late[name] for name in early}
        for early, late in zip(of(range(cut)), of(range(cut, len(values))), strict=True)
    ]
    whole = of(range(len(values)))
    assert joined[:-1] == whole[:-1]
    # The marks of several curves are listed curve by curve.
    rows = [sorted(zip(*marks.values(), strict=True)) for marks in (joined[-1], whole[-1])]
    assert rows[0] == rows[1]


@given(st.lists(st.none() | FLOATS, max_size=60), st.integers(0, 60), st.sampled_from([LINE, LOG]))
def test_appending_later_lines_to_earlier_ones_gives_the_line_through_all(
    values: list[float | None], cut: int, chart: Chart
) -> None:
    check_that_points_add_up(values, chart, cut=cut, stride=1)


@given(st.lists(FLOATS, max_size=60), st.integers(0, 60), st.integers(1, 9))
def test_appending_later_dots_to_earlier_ones_thins_them_alike(
    values: list[float | None], cut: int, stride: int
) -> None:
    check_that_points_add_up(values, DOTS, cut=cut, stride=stride)


def test_buckets_in_which_a_key_was_never_measured_are_left_out() -> None:
    gap = bucketed(grad_norm=same([1.0, None, 3.0]))
    _, line = draw(gap, LINE, theme.LIGHT).data
    assert list(line.x) == [99, 299]
