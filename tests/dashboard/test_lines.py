from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from htga_client.wire import Buckets, Series
from htga_dashboard.comparison import Comparison
from htga_dashboard.lines import GRID, groups, line, smoothed
from tests.support.series import RUN_ID, run, series

finite = st.floats(-1e6, 1e6)


def test_a_run_alone_is_its_own_values_and_their_extremes() -> None:
    buckets = Buckets(mean=[1.0, 2.0], min=[0.0, 2.0], max=[5.0, 2.0], last=[1.0, 2.0])
    one = Series(
        run_id=RUN_ID,
        layer="",
        step=[3, 7],
        time=[1.0, 2.0],
        keys={"loss": buckets},
        buckets=2,
        total=8,
        cursor=None,
    )
    found = line([one], "loss", Comparison(smoothing=0.9))
    assert found.x.tolist() == [3, 7]
    assert (found.low.tolist(), found.high.tolist()) == ([0.0, 2.0], [5.0, 2.0])
    assert found.y[0] == 1.0
    assert found.n.tolist() == [1, 1]


def test_a_group_is_the_mean_of_its_members_with_its_standard_deviation() -> None:
    members = [series(range(3), loss=[value] * 3) for value in (1.0, 2.0, 6.0)]
    found = line(members, "loss", Comparison())
    assert found.y.tolist() == [3.0] * 3
    assert found.n.tolist() == [3] * 3
    sd = np.std([1.0, 2.0, 6.0], ddof=1)
    assert found.high.tolist() == pytest.approx([3.0 + sd] * 3)
    interval = line(members, "loss", Comparison(band="t95"))
    expected = stats.t.interval(0.95, 2, loc=3.0, scale=sd / math.sqrt(3))
    assert (interval.low[0], interval.high[0]) == pytest.approx(expected, rel=1e-4)
    everything = line(members, "loss", Comparison(band="range"))
    assert (everything.low[0], everything.high[0]) == (1.0, 6.0)
    nothing = line(members, "loss", Comparison(band="none"))
    assert nothing.low.tolist() == nothing.high.tolist() == nothing.y.tolist()


def test_who_ended_early_has_no_say_in_what_came_after() -> None:
    early, late = series(range(3), loss=[0.0] * 3), series(range(6), loss=[1.0] * 6)
    found = line([early, late], "loss", Comparison())
    assert found.n.tolist() == [2, 2, 2, 1, 1, 1]
    assert found.y.tolist() == [0.5, 0.5, 0.5, 1.0, 1.0, 1.0]


def test_members_that_measured_at_other_steps_meet_by_interpolation() -> None:
    found = line(
        [series([0, 10], loss=[0.0, 10.0]), series([0, 5, 10], loss=[0.0, 5.0, 10.0])],
        "loss",
        Comparison(),
    )
    assert found.x.tolist() == found.y.tolist() == [0, 5, 10]


def test_a_gap_in_one_member_is_a_gap_and_no_number() -> None:
    spoilt = series(range(5), loss=[1.0, 1.0, math.nan, 1.0, 1.0])
    found = line([spoilt, series(range(5), loss=[3.0] * 5)], "loss", Comparison())
    assert found.n.tolist() == [2, 2, 1, 2, 2]
    assert found.y.tolist() == [2.0, 2.0, 3.0, 2.0, 2.0]


def test_neither_smoothing_nor_averaging_hides_a_spike_from_the_range() -> None:
    values = [1.0] * 100
    values[50] = 1000.0
    members = [series(range(100), loss=values), series(range(100), loss=[1.0] * 100)]
    found = line(members, "loss", Comparison(smoothing=0.99, band="range"))
    assert found.high.max() == 1000.0
    assert found.y.max() < 20


def test_relative_time_begins_with_each_run() -> None:
    found = line([series([5, 9], loss=[1.0, 2.0])], "loss", Comparison(x="relative"))
    assert found.x.tolist() == [0.0, 4.0]
    assert line([series([5], loss=[1.0])], "loss", Comparison(x="time")).x.tolist() == [1.7e9 + 5]


def test_long_runs_meet_on_a_grid_of_bounded_size() -> None:
    members = [
        series(range(0, 4000, 2), loss=[1.0] * 2000),
        series(range(1, 4000, 2), loss=[1.0] * 2000),
    ]
    found = line(members, "loss", Comparison())
    assert len(found.x) == GRID
    assert found.y.tolist() == [1.0] * GRID


def test_what_nobody_measured_is_an_empty_line() -> None:
    empty = series([], loss=[])
    for members in ([], [empty], [series([1], other=[1.0])], [series([1], loss=[None])]):
        assert len(line(members, "loss", Comparison()).x) == 0


@given(st.lists(finite, min_size=1, max_size=30), st.sampled_from([0.0, 0.5, 0.99]))
def test_smoothing_stays_between_the_extremes_and_begins_with_the_first(
    values: list[float], weight: float
) -> None:
    found = smoothed(np.array(values), weight)
    assert found[0] == pytest.approx(values[0])
    slack = 1e-9 * max(1.0, *map(abs, values))
    assert min(values) - slack <= found.min() <= found.max() <= max(values) + slack


def test_smoothing_passes_over_what_is_not_finite() -> None:
    found = smoothed(np.array([1.0, math.nan, math.inf, -math.inf, 1.0]), 0.9)
    assert found[[0, 4]].tolist() == [1.0, 1.0]
    assert math.isnan(found[1])
    assert found[2:4].tolist() == [math.inf, -math.inf]


def test_on_a_logarithmic_axis_the_logarithms_are_smoothed() -> None:
    found = smoothed(np.array([1.0, 100.0]), 0.5, log=True)
    assert found[1] == pytest.approx(100 ** (0.5 / 0.75))
    with_zero = np.array([0.0, 1.0])
    assert smoothed(with_zero, 0.5, log=True).tolist() == smoothed(with_zero, 0.5).tolist()


def test_runs_group_by_their_settings_in_order_of_appearance() -> None:
    made = [
        run(id="1", name="a", config={"lr": 0.1, "net": {"width": 8}}),
        run(id="2", name="b", config={"lr": 0.2, "net": {"width": 8}}),
        run(id="3", name="c", config={"lr": 0.1}, group="warm"),
    ]
    assert [group.label for group in groups(made, ())] == ["a", "b", "c"]
    by_lr = groups(made, ("lr",))
    assert [(group.label, len(group.runs)) for group in by_lr] == [("lr=0.1", 2), ("lr=0.2", 1)]
    assert [group.label for group in groups(made, ("net.width", "group"))] == [
        "net.width=8, group=(none)",
        "net.width=(none), group=warm",
    ]
