from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, levy_stable

from htga.levy import (
    sample_isotropic_stable,
    sample_positive_stable,
    sample_stable,
    tail_constant,
)

ALPHAS = [0.5, 0.8, 1.0, 1.2, 1.5, 1.8, 2.0]


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("t", [0.5, 1.0, 2.0])
def test_stable_numbers_have_their_characteristic_function(
    alpha: float, t: float, generator: torch.Generator
) -> None:
    x = sample_stable(alpha, (500_000,), scale=1.3, generator=generator)
    # The standard error of a mean of cosines is below 1 / sqrt(500,000) = 1.4e-3.
    assert float((t * x).cos().mean()) == pytest.approx(math.exp(-((1.3 * t) ** alpha)), abs=5e-3)
    assert float((t * x).sin().mean()) == pytest.approx(0, abs=5e-3)


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_stable_numbers_follow_the_law_that_scipy_integrates(
    alpha: float, generator: torch.Generator
) -> None:
    x = sample_stable(alpha, (400,), generator=generator)
    assert kstest(x.numpy(), levy_stable(alpha, 0).cdf).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [0.8, 1.0, 1.2, 1.5])
def test_large_stable_numbers_are_as_frequent_as_the_tail_constant_says(
    alpha: float, generator: torch.Generator
) -> None:
    x = sample_stable(alpha, (2_000_000,), generator=generator).abs()
    far = (2000 * tail_constant(alpha)) ** (1 / alpha)  # one in 2,000 is larger
    exceeded = float((x > far).double().mean())
    assert exceeded == pytest.approx(tail_constant(alpha) * far**-alpha, rel=0.12)


def test_the_tail_constant_is_that_of_cauchy_at_one_and_nothing_at_two() -> None:
    assert tail_constant(1) == pytest.approx(2 / math.pi)
    assert tail_constant(2) == 0
    assert tail_constant(1.999999) == pytest.approx(0, abs=1e-5)


@given(st.floats(0.1, 2), st.integers(0, 2**31))
def test_stable_numbers_are_finite(alpha: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    assert sample_stable(alpha, (4000,), generator=generator).isfinite().all()


@given(st.sampled_from(ALPHAS), st.floats(0, 1e6))
def test_scale_multiplies_the_same_numbers(alpha: float, scale: float) -> None:
    one = sample_stable(alpha, (50,), generator=torch.Generator().manual_seed(3))
    other = sample_stable(alpha, (50,), scale=scale, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(other, one * scale, rtol=1e-14, atol=0)


def test_a_sample_has_the_shape_asked_for_and_double_precision(generator: torch.Generator) -> None:
    x = sample_stable(1.5, (2, 3, 4), generator=generator)
    assert x.shape == (2, 3, 4)
    assert x.dtype == torch.float64
    assert sample_stable(1.5, (), generator=generator).ndim == 0


@pytest.mark.parametrize("index", [0.5, 0.75, 0.9])
@pytest.mark.parametrize("s", [0.3, 1.0, 3.0])
def test_positive_stable_numbers_have_their_laplace_transform(
    index: float, s: float, generator: torch.Generator
) -> None:
    a = sample_positive_stable(index, (300_000,), generator=generator)
    assert (a > 0).all()
    assert float((-s * a).exp().mean()) == pytest.approx(math.exp(-(s**index)), abs=5e-3)


@pytest.mark.parametrize("alpha", [1.2, 1.8, 2.0])
@pytest.mark.parametrize("xi", [(1.0, 0.0), (0.6, 0.8), (-0.6, 0.8)])
def test_isotropic_vectors_look_alike_from_every_direction(
    alpha: float, xi: tuple[float, float], generator: torch.Generator
) -> None:
    x = sample_isotropic_stable(alpha, (400_000, 2), scale=0.7, generator=generator)
    along = x @ torch.tensor(xi, dtype=torch.float64)
    assert float(along.cos().mean()) == pytest.approx(math.exp(-(0.7**alpha)), abs=5e-3)


def test_large_jumps_lie_along_the_axes_only_where_components_are_independent(
    generator: torch.Generator,
) -> None:
    def near_an_axis(x: torch.Tensor) -> float:
        far = x[x.norm(dim=1).topk(2000).indices].abs()
        return float((far.amin(1) < 0.1 * far.amax(1)).double().mean())

    independent = sample_stable(1.2, (200_000, 2), generator=generator)
    isotropic = sample_isotropic_stable(1.2, (200_000, 2), generator=generator)
    assert near_an_axis(independent) > 0.9
    assert near_an_axis(isotropic) == pytest.approx(4 / math.pi * math.atan(0.1), abs=0.03)


@pytest.mark.parametrize("alpha", [0, -1, 2.1, math.nan, math.inf])
def test_an_index_outside_the_stable_laws_is_refused(alpha: float) -> None:
    for sample in (sample_stable, sample_isotropic_stable):
        with pytest.raises(ValueError, match=r"alpha=.* is not in \(0, 2\]"):
            sample(alpha, (3,))
    with pytest.raises(ValueError, match="alpha="):
        tail_constant(alpha)


@pytest.mark.parametrize("scale", [-1e-9, -1, math.nan, math.inf])
def test_a_negative_or_infinite_scale_is_refused(scale: float) -> None:
    for sample in (sample_stable, sample_isotropic_stable):
        with pytest.raises(ValueError, match="scale="):
            sample(1.5, (3,), scale=scale)


def test_positive_and_isotropic_samples_refuse_what_does_not_exist() -> None:
    with pytest.raises(ValueError, match="index=1"):
        sample_positive_stable(1.0, (3,))
    with pytest.raises(ValueError, match="shape is empty"):
        sample_isotropic_stable(1.5, ())
