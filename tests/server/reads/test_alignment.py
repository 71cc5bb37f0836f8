"""Runs on one grid, as plain arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_server.reads import alignment
from htga_server.reads.alignment import Aligned, Floats
from htga_server.timeseries import rollup

VALUES = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])
MEMBERS = st.lists(
    st.dictionaries(st.integers(0, 200), VALUES, max_size=25), min_size=1, max_size=4
)


def align(members: Sequence[dict[float, float]], most: int = 1000) -> tuple[Floats, Aligned]:
    """Members as values by x, each of which is a row."""
    xs = [np.array(sorted(member), np.float64) for member in members]
    places, at = alignment.grid(xs, most)
    cells = []
    for member, x, where in zip(members, xs, at, strict=True):
        values = np.array([member[place] for place in x.tolist()], np.float64)
        rows = rollup.of_rows(np.arange(x.size), x, {"loss": (values, np.ones(x.size, np.bool_))})
        cells.append(alignment.on_places(rows, x, where))
    return places, alignment.align("loss", cells, places)


def test_between_its_own_values_a_member_is_interpolated() -> None:
    places, found = align([{0: 0.0, 10: 10.0, 20: 0.0}, {0: 1.0, 7: 1.0, 14: 1.0, 21: 1.0}])
    assert places.tolist() == [0, 7, 10, 14, 20, 21]
    assert found.mean[0, :5].tolist() == pytest.approx([0.0, 7.0, 10.0, 6.0, 0.0])
    assert math.isnan(found.mean[0, 5])
    assert found.mean[1].tolist() == [1.0] * 6
    assert found.measured.tolist() == [
        [True, False, True, False, True, False],
        [True, True, False, True, False, True],
    ]


def test_no_member_says_anything_before_its_first_value_or_after_its_last() -> None:
    places, found = align([{2: 1.0, 4: 1.0}, dict.fromkeys(range(6), 3.0)])
    assert places[np.isfinite(found.mean[0])].tolist() == [2, 3, 4]


@pytest.mark.parametrize("gap", [math.nan, math.inf, -math.inf])
def test_nothing_is_interpolated_beside_what_is_not_finite(gap: float) -> None:
    _, found = align([{0: 1.0, 2: gap, 4: 1.0, 6: 1.0}, dict.fromkeys(range(7), 0.0)])
    assert np.isfinite(found.mean[0]).tolist() == [True, False, False, False, True, True, True]
    assert found.high[0, 2] == pytest.approx(gap, nan_ok=True)
    assert np.isnan(found.high[0, [1, 3]]).all()


def test_places_are_even_where_cells_lie_at_too_many() -> None:
    line = {float(x): 2.0 * x for x in range(100)}
    places, found = align([line, {x + 0.5: y + 1.0 for x, y in line.items()}], most=34)
    assert places.size == 34
    assert np.diff(places) == pytest.approx(99.5 / 33)
    assert found.measured.all()
    inner = slice(1, -1)
    assert found.mean[0, inner] == pytest.approx(2 * places[inner], abs=2 * 99.5 / 33)


def test_there_is_no_place_where_there_is_nothing() -> None:
    early, late = range(10), range(90, 101)
    places, found = align([{float(x): 1.0 for x in part} for part in (early, late)], most=11)
    assert places.tolist() == [0, 10, 90, 100]
    assert found.measured.any(axis=0).all()


def test_a_member_that_lies_between_two_places_is_at_the_nearest() -> None:
    places, found = align([dict.fromkeys(map(float, range(100)), 0.0), {40.3: 5.0}], most=10)
    assert places[found.measured[1]].tolist() == [44.0]
    assert found.mean[1, found.measured[1]].tolist() == [5.0]


@given(MEMBERS, st.integers(1, 300))
def test_every_extreme_is_at_the_place_nearest_to_it(
    members: list[dict[float, float]], most: int
) -> None:
    places, found = align(members, most)
    for row, member in enumerate(members):
        for x, value in member.items():
            if math.isnan(value):
                continue
            at = np.flatnonzero(np.abs(places - x) <= np.abs(places - x).min() * (1 + 1e-9))
            assert found.low[row, at].min() <= value <= found.high[row, at].max()
    finite = [v for member in members for v in member.values() if not math.isnan(v)]
    if finite:
        assert np.nanmax(found.high) == max(finite)
        assert np.nanmin(found.low) == min(finite)


@given(MEMBERS, st.integers(1, 300))
def test_a_mean_lies_between_its_extremes(members: list[dict[float, float]], most: int) -> None:
    _, found = align(members, most)
    there = np.isfinite(found.mean)
    slack = 1e-9 * (1 + np.abs(found.mean[there]))
    assert (found.low[there] - slack <= found.mean[there]).all()
    assert (found.mean[there] <= found.high[there] + slack).all()


@given(st.dictionaries(st.integers(0, 200), VALUES, max_size=25))
def test_a_member_alone_is_its_own_values(member: dict[float, float]) -> None:
    places, found = align([member], most=1)
    values = [member[x] for x in places.tolist()]
    assert places.tolist() == sorted(member)
    for row in (found.mean, found.low, found.high):
        assert np.array_equal(row[0], values, equal_nan=True)


@given(st.lists(st.lists(VALUES, min_size=5, max_size=5), min_size=2, max_size=4))
def test_where_all_members_are_at_the_same_places_nothing_is_changed(
    values: list[list[float]],
) -> None:
    _, found = align([dict(enumerate(own)) for own in values])
    for row in (found.mean, found.low, found.high):
        assert np.array_equal(row, values, equal_nan=True)
    assert found.measured.all()
