from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from htga.tail import draw_sample


@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(0, 9000), min_size=1, max_size=6),
    sample=st.integers(1, 30_000),
    power=st.floats(0.1, 4),
    scale=st.sampled_from([1e-42, 1e-30, 1e-5, 1.0, 1e20, 1e30]),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_a_draw_has_so_many_of_the_entries_and_the_norm_of_all(
    seed: int, sizes: list[int], sample: int, power: float, scale: float, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(seed)
    normal = [torch.randn(size, generator=generator) for size in sizes]
    gradients = [(x.abs() ** power * x.sign() * scale).to(dtype) for x in normal]
    flat = torch.cat(gradients)
    found = draw_sample(gradients, sample, seed)
    assert found.entries.numel() >= min(sample, flat.numel())
    assert found.entries.dtype == dtype
    assert torch.isin(found.entries, flat).all() or not flat.isfinite().all()
    assert int(found.n_nonfinite) == int((~flat.isfinite()).sum())
    if flat.isfinite().all():
        norm = flat.double().norm()
        torch.testing.assert_close(found.grad_norm, norm, rtol=1e-7, atol=0)


@pytest.mark.parametrize("entry", [math.nan, math.inf, -math.inf, 3e38])
@pytest.mark.parametrize("place", [0, 255, 256, 4999])
@pytest.mark.filterwarnings("error")
def test_an_entry_that_cannot_be_squared_is_told_wherever_it_stands(
    entry: float, place: int
) -> None:
    x = torch.ones(5000)
    x[place] = entry
    found = draw_sample([torch.ones(7), x], 100, 3)
    assert int(found.n_nonfinite) == int(not math.isfinite(entry))
    expected = torch.cat([torch.ones(7), x]).double().norm()
    torch.testing.assert_close(found.grad_norm, expected, rtol=1e-7, atol=0, equal_nan=True)


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
def test_tensors_may_lie_in_any_order_of_memory(x: Tensor) -> None:
    found = draw_sample([torch.zeros(3000), x], 1_000_000, 5)
    values = x.detach().coalesce().values() if x.is_sparse else x.detach().reshape(-1)
    assert torch.equal(found.entries[3000:].sort().values, values.sort().values)
    torch.testing.assert_close(found.grad_norm, values.double().norm(), rtol=1e-7, atol=0)


def test_a_draw_is_a_copy() -> None:
    x = torch.ones(1000)
    found = draw_sample([x], 1000, 0)
    x.zero_()
    assert found.entries.eq(1).all()
