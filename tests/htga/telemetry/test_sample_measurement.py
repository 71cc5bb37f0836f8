from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from htga.tail import draw_sample, hill
from htga.telemetry.sample_measurement import measure_sample

NUMBERS = (
    *("alpha_hat", "alpha_stderr", "xi", "k", "n"),
    *("grad_norm", "n_zero", "n_nonfinite", "status"),
)


def assert_as_measured(x: Tensor, sample: int = 2**12, seed: int = 0) -> None:
    drawn = draw_sample([x], sample, seed)
    expected, got = drawn.measure(), measure_sample(drawn)
    for name in NUMBERS:
        number = getattr(expected, name).item()
        assert got.numbers[name] == pytest.approx(number, rel=1e-5, abs=1e-6, nan_ok=True), name
    assert torch.equal(torch.from_numpy(got.state), expected.histogram.state)


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(0, 20_000),
    power=st.floats(0.1, 4),
    scale=st.sampled_from([1e-42, 1e-30, 1.0, 1e30]),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_a_sample_is_measured_as_by_the_reference(
    seed: int, size: int, power: float, scale: float, dtype: torch.dtype
) -> None:
    normal = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    assert_as_measured((normal.abs() ** power * normal.sign() * scale).to(dtype), seed=seed)


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(0),
        torch.zeros(1000),
        torch.ones(1000),
        torch.cat([torch.ones(900), torch.zeros(300)]),
        torch.full((1000,), math.inf),
        torch.cat([torch.linspace(-9, 9, 5000), torch.tensor([math.nan, -math.inf, 0.0, -0.0])]),
    ],
    ids=["empty", "zeros", "ones", "ones and zeros", "infinities", "some of each"],
)
def test_so_is_what_has_no_tail_or_is_not_finite(x: Tensor) -> None:
    assert_as_measured(x, sample=x.numel() or 1)


def test_the_other_tails_are_those_of_the_same_sample() -> None:
    x = torch.randn(50_000, generator=torch.Generator().manual_seed(0)).abs() ** 2
    numbers = measure_sample(draw_sample([x], x.numel(), 0)).numbers
    k = int(numbers["k"])
    assert numbers["alpha_quarter"] == pytest.approx(hill(x, k // 4).alpha.item())
    assert numbers["alpha_fourfold"] == pytest.approx(hill(x, 4 * k).alpha.item())
