from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from htga.tail import draw
from htga.telemetry.drawn import drawn


def assert_as_drawn(gradients: list[Tensor], sample: int, seed: int) -> None:
    expected, got = draw(gradients, sample, seed), drawn(gradients, sample, seed)
    assert torch.equal(got.entries.nan_to_num(nan=7.0), expected.entries.nan_to_num(nan=7.0))
    torch.testing.assert_close(got.grad_norm, expected.grad_norm, rtol=1e-7, atol=0, equal_nan=True)
    assert got.n_nonfinite.equal(expected.n_nonfinite)


@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(0, 9000), max_size=6),
    sample=st.integers(1, 30_000),
    power=st.floats(0.1, 4),
    scale=st.sampled_from([1e-42, 1e-30, 1e-5, 1.0, 1e20, 1e30]),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_it_is_the_sample_of_the_reference_and_its_norm(
    seed: int, sizes: list[int], sample: int, power: float, scale: float, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(seed)
    normal = [torch.randn(size, generator=generator) for size in sizes]
    gradients = [(x.abs() ** power * x.sign() * scale).to(dtype) for x in normal]
    assert_as_drawn(gradients, sample, seed)


@pytest.mark.parametrize("entry", [math.nan, math.inf, -math.inf, 3e38])
@pytest.mark.parametrize("place", [0, 255, 256, 4999])
@pytest.mark.filterwarnings("error")
def test_an_entry_that_cannot_be_squared_is_told_wherever_it_stands(
    entry: float, place: int
) -> None:
    x = torch.ones(5000)
    x[place] = entry
    assert_as_drawn([torch.ones(7), x], 100, 3)


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(40, 30).t(),
        torch.randn(8, 4, 6, 6).to(memory_format=torch.channels_last),
        torch.randn(500, requires_grad=True) * 2,
        torch.nn.Parameter(torch.randn(500)),
        torch.eye(40).to_sparse(),
        torch.randn(()),
    ],
    ids=["transposed", "channels last", "part of a graph", "parameter", "sparse", "a number"],
)
def test_so_it_is_of_tensors_that_lie_otherwise(x: Tensor) -> None:
    assert_as_drawn([torch.randn(3000), x], 100, 5)


def test_it_is_a_copy() -> None:
    x = torch.ones(1000)
    found = drawn([x], 1000, 0)
    x.zero_()
    assert found.entries.eq(1).all()
