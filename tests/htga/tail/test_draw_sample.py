from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from htga.tail import draw_sample, measure
from tests.htga.distributions import burr, gaussian, laplace, pareto, stable, student_t

N = 400_000


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


@pytest.mark.parametrize(
    "whole",
    [pareto(1.5, N), student_t(3, N), stable(1.8, N), laplace(N), gaussian(N), burr(1.6, N)],
    ids=["pareto", "student_t", "stable", "laplace", "gaussian", "burr"],
)
def test_a_sample_reads_the_same_index_as_the_whole(whole: Tensor) -> None:
    everything = measure(whole)
    for seed in range(3):
        seen = measure(whole, sample=2**16, seed=seed)
        off = abs(float(seen.alpha_hat - everything.alpha_hat))
        assert off < 3 * float(seen.alpha_stderr)
        assert float(seen.alpha_stderr / seen.alpha_hat) < 0.04


@pytest.mark.parametrize(("share", "least"), [(0.3, 0.96), (0.6, 0.96), (0.99, 0.02)])
def test_where_many_entries_are_zero_a_larger_sample_is_drawn_up_to_a_limit(
    share: float, least: float
) -> None:
    whole = gaussian(N).float()
    whole[torch.rand(N, generator=torch.Generator().manual_seed(0)) < share] = 0
    sample = 2**14
    # As many entries as are a multiple of no small stride, which would be left out as unfair.
    seen = measure([whole[:399_995]], sample=sample, seed=3)
    assert int(seen.n) >= least * sample
    assert int(seen.n + seen.n_zero) <= 4.2 * sample
