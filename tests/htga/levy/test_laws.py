from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import dblquad

from htga.levy import (
    Stable,
    gaussian_exit_time,
    getoor_exit_time,
    gibbs_share,
    imkeller_pavlyukevich_exit_time,
    jump_rate,
    kramers_exit_time,
    monitored_width,
    refuted_proposal_exit_time,
    truncated_exit_order,
    two_well_share,
)

indices = st.floats(0.1, 1.99)
sizes = st.floats(0.01, 10)


@given(indices, sizes, sizes)
def test_a_symmetric_exit_is_one_jump_of_the_width(
    alpha: float, scale: float, width: float
) -> None:
    law = imkeller_pavlyukevich_exit_time(alpha, scale, -width, width)
    assert law == pytest.approx(1 / jump_rate(Stable(alpha, scale), width))


@given(indices, sizes, sizes, sizes)
def test_rates_to_either_side_add(alpha: float, scale: float, low: float, high: float) -> None:
    both = imkeller_pavlyukevich_exit_time(alpha, scale, -low, high)
    left = imkeller_pavlyukevich_exit_time(alpha, scale, -low, math.inf)
    right = imkeller_pavlyukevich_exit_time(alpha, scale, -math.inf, high)
    assert 1 / both == pytest.approx(1 / left + 1 / right)
    assert imkeller_pavlyukevich_exit_time(alpha, scale, -math.inf, math.inf) == math.inf


@given(st.floats(0.1, 2), sizes)
def test_on_a_line_getoor_has_one_over_gamma(alpha: float, scale: float) -> None:
    law = getoor_exit_time(alpha, scale)
    assert law == pytest.approx(scale**-alpha / math.gamma(1 + alpha))


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_brownian_motion_leaves_a_ball_after_radius_squared_over_its_variance(dim: int) -> None:
    assert getoor_exit_time(2, 0.5, 3.0, dim) == pytest.approx(9 / (2 * 0.25 * dim))


@pytest.mark.parametrize(("scale", "width", "curvature"), [(0.5, 1.0, 1.0), (0.8, 1.5, 2.0)])
def test_the_gaussian_law_is_the_double_integral(
    scale: float, width: float, curvature: float
) -> None:
    rate = curvature / (2 * scale**2)
    value, _ = dblquad(
        lambda z, y: math.exp(rate * (y**2 - z**2)), 0, width, 0, lambda y: y, epsabs=1e-10
    )
    assert gaussian_exit_time(scale, width, curvature) == pytest.approx(value / scale**2, rel=1e-6)


def test_the_gaussian_law_becomes_kramers_as_noise_vanishes() -> None:
    ratios = [gaussian_exit_time(s) / kramers_exit_time(s) for s in (0.4, 0.2, 0.1, 0.05)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] == pytest.approx(1, abs=0.01)
    # Without a force it is Getoor's.
    assert gaussian_exit_time(0.5, curvature=1e-9) == pytest.approx(getoor_exit_time(2, 0.5))


def test_truncation_demands_as_many_jumps_as_the_width_holds() -> None:
    orders = [truncated_exit_order(1.5, bound, 1.0) for bound in (1.5, 0.75, 0.6, 0.3)]
    assert orders == [1.5, 3.0, 3.0, 6.0]


@given(st.floats(1.01, 10), indices, indices)
def test_the_wide_well_holds_more_the_lighter_the_jumps(
    ratio: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert 0.5 < two_well_share(low, 1.0, ratio) <= two_well_share(high, 1.0, ratio) < 1
    assert gibbs_share(1.0, ratio) == pytest.approx(two_well_share(1.0, 1.0, ratio))


def test_the_refuted_formula_has_the_power_right_and_an_exponential_beside_it() -> None:
    law = refuted_proposal_exit_time(1.5, 0.5, 1e-12)
    assert law == pytest.approx(0.5**-1.5)
    ratio = refuted_proposal_exit_time(1.5, 0.5, 2.0) / refuted_proposal_exit_time(1.5, 0.5, 1.0)
    assert ratio == pytest.approx(math.exp(1 / 0.5**1.5))
    assert refuted_proposal_exit_time(1.5, 0.001, 1.0) == math.inf


def test_the_barrier_to_watch_comes_closer_by_the_known_share_of_a_step() -> None:
    shift = 1 - monitored_width(1.0, 0.5, 0.002)
    assert shift == pytest.approx(0.5826 * 0.5 * math.sqrt(0.004), rel=1e-4)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (lambda: imkeller_pavlyukevich_exit_time(2, 0.1, -1, 1), "Brownian"),
        (lambda: imkeller_pavlyukevich_exit_time(2.1, 0.1, -1, 1), "alpha=2.1"),
        (lambda: imkeller_pavlyukevich_exit_time(1.5, -0.1, -1, 1), "scale=-0.1"),
        (lambda: imkeller_pavlyukevich_exit_time(1.5, 0.1, 0.5, 1), "does not hold"),
        (lambda: getoor_exit_time(0), "alpha=0"),
        (lambda: getoor_exit_time(1.5, dim=0), "dim=0"),
        (lambda: gaussian_exit_time(0), "scale=0"),
        (lambda: kramers_exit_time(1, 0), "width=0"),
        (lambda: truncated_exit_order(1.5, 0, 1), "bound=0"),
        (lambda: refuted_proposal_exit_time(1.5, 0.1, -1), "barrier=-1"),
        (lambda: monitored_width(0.01, 1, 1), "h=1"),
        (lambda: two_well_share(1.5, 0, 1), "narrow=0"),
    ],
)
def test_laws_refuse_arguments_they_do_not_hold_for(law: Callable[[], float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        law()
