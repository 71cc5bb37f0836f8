from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from htga.tail import LogHistogram
from htga_client.statistics.hill import hill_at


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
    expected = histogram.hill(k).alpha.item()
    got = hill_at(histogram.counts.numpy(), bits, k)
    assert got == pytest.approx(expected, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("sample", [[], [0.0] * 99, [1.0] * 99, [math.nan] * 99, [1.0] * 9])
def test_where_there_is_no_tail_there_is_no_estimate(sample: list[float]) -> None:
    histogram = LogHistogram().update(torch.tensor(sample))
    assert math.isnan(hill_at(histogram.counts.numpy(), 3, 10))


def test_fewer_than_ten_entries_are_no_tail() -> None:
    assert math.isnan(hill_at(np.ones(255 << 3, np.int64), 3, 9))
