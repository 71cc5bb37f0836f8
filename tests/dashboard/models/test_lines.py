from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_dashboard.models.comparison import Band, Comparison
from htga_dashboard.models.lines import line, smoothed
from tests.support.series import group, members

finite = st.floats(-1e6, 1e6)


def test_a_run_alone_is_its_own_values_and_their_extremes() -> None:
    found = line(group([3, 7], loss=members([1.0, 2.0])), "loss", Comparison())
    assert (found.x.tolist(), found.y.tolist()) == ([3, 7], [1.0, 2.0])
    assert (found.low.tolist(), found.high.tolist()) == ([-2.0, -1.0], [4.0, 5.0])
    assert found.n.tolist() == [1, 1]


@pytest.mark.parametrize(("band", "apart"), [("sd", 1), ("t95", 2), ("range", 3), ("none", 0)])
def test_around_a_group_is_the_band_that_was_chosen(band: Band, apart: float) -> None:
    found = line(group([0, 1], loss=members([5.0, 6.0], n=3)), "loss", Comparison(band=band))
    assert found.y.tolist() == [5.0, 6.0]
    assert found.low.tolist() == [5.0 - apart, 6.0 - apart]
    assert found.high.tolist() == [5.0 + apart, 6.0 + apart]
    assert found.n.tolist() == [3, 3]


def test_where_one_run_is_left_of_a_group_its_band_is_closed() -> None:
    left = members([1.0, 2.0], n=2)
    left.n[1], left.sd[1], left.low[1], left.high[1] = 1, None, None, None
    bands: dict[Band, float] = {"sd": 0.0, "t95": 0.0, "none": 0.0, "range": 3.0}
    for band, apart in bands.items():
        found = line(group([0, 1], loss=left), "loss", Comparison(band=band))
        assert found.high[1] - found.y[1] == found.y[1] - found.low[1] == apart


def test_smoothing_is_of_the_line_alone_and_leaves_what_was_measured_around_it() -> None:
    spike = members([1.0] * 50 + [1000.0] + [1.0] * 49, n=3)
    bands: tuple[Band, ...] = ("sd", "t95", "range")
    for band in bands:
        raw = line(group(range(100), loss=spike), "loss", Comparison(band=band))
        found = line(group(range(100), loss=spike), "loss", Comparison(band=band, smoothing=0.99))
        assert found.y.max() < 30
        assert found.high.tolist() == raw.high.tolist()
        assert found.low.tolist() == raw.low.tolist()


def test_a_line_has_points_only_where_its_key_was_measured() -> None:
    found = line(group([0, 1, 2], loss=members([1.0, None, 3.0])), "loss", Comparison())
    assert (found.x.tolist(), found.y.tolist()) == ([0, 2], [1.0, 3.0])
    assert len(line(group([0], loss=members([None])), "loss", Comparison()).x) == 0
    assert len(line(group([], loss=members([])), "loss", Comparison()).x) == 0


def test_what_was_measured_and_is_not_finite_is_a_gap() -> None:
    found = line(group([0, 1, 2], loss=members([1.0, math.nan, 3.0])), "loss", Comparison())
    assert found.x.tolist() == [0, 1, 2]
    assert math.isnan(found.y[1])


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
