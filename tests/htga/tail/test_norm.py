import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from htga.tail.norm import norm
from tests.htga.distributions import pareto


@given(hnp.arrays(np.float32, st.integers(0, 1000), elements=st.floats(width=32, allow_nan=False)))
def test_the_norm_is_that_of_float64(x: np.ndarray) -> None:
    expected = float(torch.from_numpy(x).double().norm())
    assert float(norm([torch.from_numpy(x)])) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-38, 1e-25, 1.0, 1e25])
def test_no_scale_and_no_tail_spoils_it(scale: float) -> None:
    x = (pareto(1.5, 300_000) * scale).float()
    parts = [x[:1000], *x[1000:1700].split(100), x[1700:]]
    assert float(norm(parts)) == pytest.approx(float(x.double().norm()), rel=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_type_is_summed_in_a_wider_one(dtype: torch.dtype) -> None:
    x = pareto(1.5, 20_000).clamp(max=6e4).to(dtype)
    assert float(norm([x])) == pytest.approx(float(x.double().norm()), rel=1e-7)


def test_an_infinity_or_a_nan_shows() -> None:
    assert not norm([torch.ones(1000), torch.tensor([torch.inf])]).isfinite()
    assert not norm([torch.tensor([torch.nan]), torch.ones(1000)]).isfinite()
    assert float(norm([])) == 0
