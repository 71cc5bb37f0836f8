from math import gcd

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from htga.tail.systematic import fair_stride, systematic


@given(
    sizes=st.lists(st.integers(0, 50), min_size=1, max_size=8),
    stride=st.integers(1, 20),
    first=st.integers(-5, 100),
)
def test_consecutive_seeds_look_at_every_entry_once(
    sizes: list[int], stride: int, first: int
) -> None:
    parts = list(torch.arange(sum(sizes)).float().split(sizes))
    seen = torch.cat([systematic(parts, stride, seed) for seed in range(first, first + stride)])
    assert seen.sort().values.tolist() == list(range(sum(sizes)))


@given(
    at_most=st.integers(1, 10_000),
    shapes=st.lists(st.lists(st.integers(0, 5000), max_size=4), max_size=6),
)
def test_a_stride_shares_no_factor_with_any_dimension(
    at_most: int, shapes: list[list[int]]
) -> None:
    stride = fair_stride(at_most, shapes)
    assert 1 <= stride <= at_most
    sizes = [size for shape in shapes for size in shape if size > 1]
    assert all(gcd(stride, size) == 1 for size in sizes)
    assert all(
        any(gcd(larger, size) > 1 for size in sizes) for larger in range(stride + 1, at_most + 1)
    )


@pytest.mark.parametrize("seed", [0, 3])
def test_a_matrix_is_sampled_in_all_of_its_columns(seed: int) -> None:
    columns = torch.arange(64).expand(1000, 64).reshape(-1)
    stride = fair_stride(32, [(1000, 64)])
    assert systematic([columns], stride, seed).unique().numel() == 64
