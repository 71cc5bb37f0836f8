"""The numbers of the noise, on noise whose numbers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from htga.levy import sample_isotropic_stable, sample_stable
from htga.telemetry.closures.noise_numbers import (
    NoiseNumbers,
    entry_index,
    gradient_noise_scale,
    light_share,
    norm_index,
    norm_slope,
)
from htga.telemetry.closures.stable_scaling import stable_index, stable_scale, terms
from tests.htga.telemetry.closures.measured import Measured, StableNoise
from tests.htga.training import net


def stable(alpha: float, pairs: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    """Stable draws, each coordinate on a scale of its own, over six decades."""
    generator = torch.Generator().manual_seed(seed)
    draws = sample_stable(alpha, (pairs, d), generator=generator)
    scaled = draws * 10 ** (6 * torch.rand(d, generator=generator))
    return scaled.numpy().astype(np.float32)


@pytest.mark.parametrize("alpha", [1.3, 1.6, 1.9, 2.0])
@pytest.mark.parametrize("pairs", [4, 8, 32])
def test_the_index_is_found_within_its_interval_whatever_the_scales(
    alpha: float, pairs: int
) -> None:
    inside = 0
    for seed in range(20):
        found, stderr = stable_index(stable(alpha, pairs, 1000, seed))
        inside += abs(found - alpha) <= 1.96 * stderr
    # 95 % of 20 are 19; fewer than 15 come once in five thousand such tests.
    assert inside >= 15


def test_the_interval_is_honest_where_all_coordinates_of_a_minibatch_jump_together() -> None:
    generator = torch.Generator().manual_seed(1)
    inside = 0
    for _ in range(20):
        draws = sample_isotropic_stable(1.5, (8, 2000), generator=generator).float().numpy()
        found, stderr = stable_index(draws)
        inside += abs(found - 1.5) <= 1.96 * stderr
    assert inside >= 15


def test_the_scale_of_a_stable_law_is_found() -> None:
    draws = 3.0 * sample_stable(1.6, (8, 20_000), generator=torch.Generator().manual_seed(0))
    assert stable_scale(draws.float().numpy(), 1.6) == pytest.approx(3.0, rel=0.02)


def test_sums_are_of_eight_draws_at_most_and_of_half_of_them() -> None:
    assert [terms(n) for n in (1, 2, 3, 4, 7, 8, 15, 16, 1000)] == [1, 1, 1, 2, 2, 4, 4, 8, 8]


@pytest.mark.parametrize("alpha", [1.3, 1.6, 1.9])
def test_stable_noise_of_a_networks_minibatches_has_its_index(alpha: float) -> None:
    model = net()
    found = Measured(model).noise(StableNoise(model, alpha))
    numbers = found.whole
    assert abs(numbers.noise_alpha - alpha) <= 1.96 * numbers.noise_stderr
    assert numbers.noise_stderr < 0.08
    assert not numbers.is_light
    assert numbers.noise_share < 0.92
    weight = found.layers["0.weight"]
    assert abs(weight.noise_alpha - alpha) <= 1.96 * weight.noise_stderr
    assert weight.noise_sigma == pytest.approx(1.0, rel=0.1)
    assert found.layers["2.weight"].noise_sigma == pytest.approx(0.01, rel=0.3)


def test_gaussian_noise_is_called_light() -> None:
    model = net()
    numbers = Measured(model).noise(StableNoise(model, 2.0)).whole
    assert numbers.is_light
    assert numbers.noise_alpha == pytest.approx(2.0, abs=0.1)
    assert numbers.noise_slope == pytest.approx(-0.5, abs=0.05)
    assert numbers.noise_share == pytest.approx(0.95, abs=0.03)


def test_the_norm_of_gaussian_noise_scales_with_the_root_of_the_batch_and_stable_noise_slower() -> (
    None
):
    assert norm_slope(stable(2.0, 64, 500)) == pytest.approx(-0.5, abs=0.05)
    assert norm_slope(stable(1.3, 512, 50)) == pytest.approx(1 / 1.3 - 1, abs=0.1)


@pytest.mark.parametrize("pairs", [4, 8, 50, 300])
def test_95_percent_of_gaussian_coordinates_are_light_whatever_the_number_of_pairs(
    pairs: int,
) -> None:
    draws = np.random.default_rng(3).standard_normal((pairs, 4000)).astype(np.float32)
    assert light_share(draws) == pytest.approx(0.95, abs=0.02)


def test_the_index_of_the_norm_needs_forty_minibatches() -> None:
    rng = np.random.default_rng(0)
    norms = (1 - rng.random(2000)) ** (-1 / 1.5)
    assert norm_index(norms) == pytest.approx(1.5, rel=0.2)
    assert norm_index(1000 + rng.standard_normal(2000)) > 50
    assert math.isnan(norm_index(norms[:19]))
    assert not math.isnan(norm_index(norms[:20]))


def test_the_entries_have_hills_index() -> None:
    rng = np.random.default_rng(0)
    entries = (1 - rng.random((8, 20_000))) ** (-1 / 1.5)
    assert entry_index(entries.astype(np.float32)) == pytest.approx(1.5, rel=0.1)


def test_the_noise_scale_of_a_quadratic_is_its_closed_form() -> None:
    """loss = |w - x|**2 / 2 with x ~ N(0, D): the gradient is w, tr(Sigma) is the trace of D."""
    generator = torch.Generator().manual_seed(0)
    d, b = 200, 32
    deviations = torch.linspace(0.5, 2.0, d)
    model = torch.nn.Linear(d, 1, bias=False)
    (w,) = model.parameters()
    torch.nn.init.constant_(w, 0.4)

    def closure() -> torch.Tensor:
        x = deviations * torch.randn(b, d, generator=generator)
        return (w - x).square().sum(dim=1).mean() / 2

    trace = deviations.square().sum().item()
    expected = trace / (d * 0.4**2)
    found = Measured(model).noise(closure, 64, b).whole
    assert found.noise_scale == pytest.approx(expected, rel=0.05)
    assert found.noise_norm == pytest.approx(
        (deviations.square().sum().item() / b) ** 0.5, rel=0.05
    )


def test_the_noise_scale_is_infinite_where_no_gradient_can_be_told_from_zero() -> None:
    assert gradient_noise_scale(1.0, 0.05, 16, 8) == math.inf
    assert gradient_noise_scale(1.0, 1.0, 16, 8) == 0.0
    assert math.isnan(gradient_noise_scale(1.0, 0.5, 16, None))
    assert math.isnan(gradient_noise_scale(0.0, 0.0, 16, 8))
    assert math.isnan(gradient_noise_scale(math.nan, 1.0, 16, 8))


@pytest.mark.parametrize("pairs", [1, 2, 3, 5])
@pytest.mark.parametrize("filler", [0.0, math.nan, math.inf, 1.0, 1e-45, 3e38])
def test_odd_differences_give_numbers_or_none_and_never_a_warning(
    pairs: int, filler: float
) -> None:
    for d in (1, 60, 1000):
        differences = np.full((pairs, d), filler, dtype=np.float32)
        differences[0, : d // 2] = 1.0
        numbers = NoiseNumbers.of(differences, np.full(pairs, filler), noise_scale=math.nan)
        assert set(numbers.known) <= set(NoiseNumbers.__dataclass_fields__)
