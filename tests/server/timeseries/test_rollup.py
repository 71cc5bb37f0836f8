from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_server.timeseries.rollup import (
    MAX_STEP,
    Rollups,
    bucket_width,
    concatenate,
    decode,
    encode,
    merge,
    of_rows,
    split_range,
)

KEYS = ("alpha_hat", "gamma", "loss")
VALUES = st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf]))


@st.composite
def rows(draw: st.DrawFn) -> Rollups:
    step = np.array(sorted(draw(st.sets(st.integers(0, 3000), max_size=60))), np.int64)
    values = {}
    for key in KEYS[: draw(st.integers(1, 3))]:
        own = draw(st.lists(VALUES, min_size=step.size, max_size=step.size))
        measured = np.array([value is not None for value in own], np.bool_)
        values[key] = (np.array([np.nan if v is None else v for v in own]), measured)
    return of_rows(step, step.astype(np.float64), values)


def plain(cells: Rollups, width: int) -> dict[int, dict[str, tuple[float, ...]]]:
    """By bucket and key, count, sum, minimum, maximum and last, one value after the other."""
    found: dict[int, dict[str, tuple[float, ...]]] = {}
    for bucket in sorted({int(step) // width for step in cells.step}):
        own = cells.step // width == bucket
        for column, key in enumerate(cells.keys):
            values = [s["last"] for s in cells.stats[own, column] if s["count"]]
            finite = [value for value in values if not np.isnan(value)] or [np.nan]
            total = float(np.sum(np.array(values))) if values else 0.0
            last = values[-1] if values else np.nan
            low, high = min(finite), max(finite)
            found.setdefault(bucket, {})[key] = (len(values), total, low, high, last)
    return found


def described(cells: Rollups, width: int) -> dict[int, dict[str, tuple[float, ...]]]:
    return {
        int(at) // width: dict(zip(cells.keys, (tuple(s) for s in stats), strict=True))
        for at, stats in zip(cells.at, cells.stats, strict=True)
    }


@given(cells=rows(), widths=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_merging_in_steps_equals_merging_every_row(cells: Rollups, widths: list[int]) -> None:
    width, merged = 1, cells
    with np.errstate(invalid="ignore"):
        for times in widths:
            width *= times
            merged = merge(merged, width)
        wanted = plain(cells, width)
    found = described(merged, width)
    assert found.keys() == wanted.keys()
    for bucket, keys in wanted.items():
        for key, value in keys.items():
            np.testing.assert_allclose(found[bucket][key], value, rtol=1e-12, atol=1e-6)
            np.testing.assert_array_equal(found[bucket][key][2:], value[2:])
    assert merged.rows.sum() == cells.rows.sum()


@given(start=st.integers(0, 5000), length=st.integers(0, 5000), level=st.integers(0, 5))
def test_a_cover_is_each_step_once_in_order(start: int, length: int, level: int) -> None:
    steps: list[int] = []
    stretches = split_range(start, start + length, level)
    for at, first, end in stretches:
        steps += range(first * 8**at, end * 8**at)
    assert steps == list(range(start, start + length))
    assert sum(end - first for at, first, end in stretches if at < level) <= 14 * max(level, 1)


@given(
    start=st.integers(0, MAX_STEP - 1),
    length=st.integers(1, 2**50),
    buckets=st.integers(1, 2000),
)
def test_a_grid_makes_no_more_buckets_than_asked_for_and_half_as_many_at_least(
    start: int, length: int, buckets: int
) -> None:
    stop = min(start + length, MAX_STEP)
    width, level = bucket_width(start, stop, buckets)
    number = -(-stop // width) - start // width
    assert number <= buckets
    assert width % 8**level == 0
    if stop - start >= buckets > 8:
        assert number >= buckets / 2 - 2


@given(cells=rows(), wanted=st.permutations(KEYS))
def test_encoded_cells_come_back_for_any_choice_of_keys(cells: Rollups, wanted: list[str]) -> None:
    blobs = encode(cells.stats, cells.keys, KEYS)
    back = decode(blobs, tuple(wanted), KEYS)
    direct = concatenate(tuple(wanted), [cells])
    assert back.tobytes() == direct.stats.tobytes()


def test_a_spike_of_one_step_in_a_million_is_in_the_maximum() -> None:
    values = np.ones(1_000_000)
    values[123_456] = 250.0
    measured = np.ones(values.size, np.bool_)
    cells = of_rows(np.arange(values.size), values, {"g": (values, measured)})
    shown = merge(merge(cells, 512), 1024).stats[:, 0]
    assert shown["max"].max() == 250.0
    assert (shown["sum"] / shown["count"]).max() == pytest.approx(1 + 249 / 1024)
