from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from htga.levy import (
    ParetoJumps,
    Stable,
    jump_rate,
    matched_noise,
    matched_scale,
    recorded_noise,
    sample_stable,
)
from htga.tail import hill


@given(st.floats(0.2, 1.95), st.floats(1e-3, 1e3), st.floats(1e-4, 1))
def test_the_matched_process_jumps_as_often_as_asked(
    alpha: float, threshold: float, rate: float
) -> None:
    scale = matched_scale(alpha, threshold=threshold, rate=rate)
    assert jump_rate(Stable(alpha, scale), threshold) == pytest.approx(rate)


def test_the_scale_of_a_stable_sample_is_found_from_its_tail(generator: torch.Generator) -> None:
    sample = sample_stable(1.3, (2_000_000,), scale=0.4, generator=generator)
    tail = hill(sample, 2000)
    scale = matched_scale(float(tail.alpha), threshold=float(tail.threshold), rate=2000 / 2e6)
    assert scale == pytest.approx(0.4, rel=0.2)


def test_an_index_beyond_stable_laws_becomes_pareto_jumps_of_the_same_rate() -> None:
    noises = recorded_noise([1.2, 1.8, 2.0, 3.5], threshold=0.5, rate=0.1, deviation=0.2)
    assert [type(noise) for noise in noises] == [Stable, Stable, ParetoJumps, ParetoJumps]
    for noise in noises:
        assert isinstance(noise, Stable | ParetoJumps)
        assert jump_rate(noise, 0.5) == pytest.approx(0.1)


@pytest.mark.parametrize("alpha", [math.nan, 0.0, -1.0, math.inf])
def test_a_trajectory_from_before_the_first_estimate_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha="):
        recorded_noise([1.5, alpha], threshold=1.0, rate=0.1)


def test_scales_that_match_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="Brownian"):
        matched_scale(2.0, threshold=1, rate=1)
    with pytest.raises(ValueError, match="rate=0"):
        matched_noise(1.5, threshold=1, rate=0)
