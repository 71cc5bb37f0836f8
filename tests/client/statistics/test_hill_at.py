from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from htga.tail import LogHistogram, TailStatus
from htga_client.statistics.hill import hill_at, hill_of_logs


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(0, 3000),
    k=st.integers(10, 4000),
    bits=st.integers(0, 5),
    power=st.floats(0.1, 4),
)
def test_it_is_the_estimate_of_the_histogram(
    seed: int, size: int, k: int, bits: int, power: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(size, generator=generator).abs() ** power
    histogram = LogHistogram(bits).update(sample)
    expected = histogram.hill(k)
    if expected.alpha.isfinite():
        # At the edge that the histogram chose there is nothing to interpolate.
        got = hill_at(histogram.counts.numpy(), bits, int(expected.k))
        if int(expected.k) < int(expected.n):
            assert got.alpha == pytest.approx(expected.alpha.item(), rel=1e-9)
            assert got.stderr == pytest.approx(expected.stderr.item(), rel=1e-6)
            assert got.k == int(expected.k)


def test_between_two_edges_it_is_interpolated_to_the_size_that_was_asked_for() -> None:
    off = []
    for seed in range(20):
        sample = torch.randn(100_000, generator=torch.Generator().manual_seed(seed)) ** 3
        counts = LogHistogram().update(sample).counts.numpy()
        logs = np.sort(np.log(sample.abs().numpy()))[::-1].astype(np.float64)
        for k in range(500, 2000, 100):
            got = hill_at(counts, 3, k)
            assert got.k == k
            off.append((got.alpha - hill_of_logs(logs, k)) / got.stderr)
    # Between two edges Hill's estimates wander about the line, by a part of their scatter.
    assert np.std(off) < 1 / 3
    assert abs(np.mean(off)) < 0.1


def test_entries_of_a_single_bin_are_looked_at_with_those_of_the_next() -> None:
    sample = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    histogram = LogHistogram().update(sample)
    index, estimate = hill_at(histogram.counts.numpy(), 3, 1000), histogram.hill(1000)
    assert index.k == int(estimate.k) == int((sample >= 0.875).sum())
    assert index.alpha == pytest.approx(estimate.alpha.item()) == pytest.approx(15, rel=0.1)
    assert estimate.light
    assert estimate.status == TailStatus.OK


@pytest.mark.parametrize("sample", [[], [0.0] * 99, [1.0] * 99, [math.nan] * 99, [1.0] * 9])
def test_where_there_is_no_tail_there_is_no_estimate(sample: list[float]) -> None:
    histogram = LogHistogram().update(torch.tensor(sample))
    assert math.isnan(hill_at(histogram.counts.numpy(), 3, 10).alpha)


def test_fewer_than_ten_entries_are_no_tail() -> None:
    assert math.isnan(hill_at(np.ones(255 << 3, np.int64), 3, 9).alpha)
