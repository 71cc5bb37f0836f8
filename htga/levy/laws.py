"""Exit times by theory, for dX = -U'(X) dt + scale dL.

The normalisation is E exp(i xi L_t) = exp(-t |xi|**alpha). Each docstring says where its formula
holds. One of them, `refuted_proposal_exit_time`, is wrong, and is here for comparison.
"""

from __future__ import annotations

import math

import torch

from htga.levy.noise import check_jumps
from htga.levy.stable import check_alpha, tail_constant

MONITORING_SHIFT = 0.5825971579390106
"""-zeta(1/2) / sqrt(2 pi)."""


def imkeller_pavlyukevich_exit_time(alpha: float, scale: float, low: float, high: float) -> float:
    """Mean exit time of a stable-driven particle from (low, high) around its only minimum, at 0.

    1 / (scale**alpha c (|low|**-alpha + high**-alpha)) with c = C / 2 of `tail_constant`, as
    scale -> 0, for alpha < 2: the rate at which a single jump leads out. Widths enter, barriers do
    not (Imkeller and Pavlyukevich, SPA 2006, who write it for c = 1). An end may be infinite.

    Raises:
        ValueError: `alpha` is not in (0, 2), `scale` is not positive, or 0 is not inside.
    """
    check_jumps(alpha)
    check_positive(scale=scale)
    check_inside(low, high)
    sides = (-low) ** -alpha + high**-alpha
    if sides == 0:
        return math.inf
    return float(2 / (scale**alpha * tail_constant(alpha) * sides))


def kramers_exit_time(scale: float, width: float = 1.0, curvature: float = 1.0) -> float:
    """`gaussian_exit_time` as scale -> 0: an exponential of the barrier, curvature width**2 / 2.

    scale / (curvature width) sqrt(pi / (2 curvature)) exp(barrier / scale**2). L has variance 2 t
    at alpha = 2, so Kramers' exp(2 barrier / variance) has this exponent (Kramers 1940; Freidlin
    and Wentzell 1984); the prefactor is Laplace's method on the exact integral, which ends
    on the slope.

    Raises:
        ValueError: An argument is not positive.
    """
    check_positive(scale=scale, width=width, curvature=curvature)
    exponent = curvature * width**2 / (2 * scale**2)
    prefactor = scale / (curvature * width) * math.sqrt(math.pi / (2 * curvature))
    return prefactor * math.exp(exponent) if exponent < 700 else math.inf


def gaussian_exit_time(scale: float, width: float = 1.0, curvature: float = 1.0) -> float:
    """Mean exit time from (-width, width) at alpha = 2, from the minimum of curvature x**2 / 2.

    With r = curvature / 2 scale**2 it is scale**-2 int_0^width exp(r y**2) int_0^y exp(-r z**2) dz
    dy exactly, the solution of the backward equation scale**2 T'' - curvature x T' = -1.

    Raises:
        ValueError: An argument is not positive.
    """
    check_positive(scale=scale, width=width, curvature=curvature)
    rate = curvature / (2 * scale**2)
    y = torch.linspace(0, width, 20_001, dtype=torch.float64)
    inner = math.sqrt(math.pi / rate) / 2 * torch.erf(math.sqrt(rate) * y)
    # Divided by the largest exponential, so that it does not overflow before the end.
    top = rate * width**2
    integral = torch.trapezoid((rate * y**2 - top).exp() * inner, y)
    return float(integral) * math.exp(top) / scale**2 if top < 700 else math.inf


def getoor_exit_time(alpha: float, scale: float = 1.0, radius: float = 1.0, dim: int = 1) -> float:
    """Mean exit time of scale * L without drift from the centre of a ball, exactly.

    Gamma(d/2) (radius / scale)**alpha / (2**alpha Gamma(1 + alpha/2) Gamma((d + alpha)/2)) for the
    isotropic process in d dimensions; 1 / Gamma(1 + alpha) on (-1, 1) (Getoor, Trans. AMS 1961).

    Raises:
        ValueError: `alpha` is not in (0, 2], or another argument is not positive.
    """
    check_alpha(alpha)
    check_positive(scale=scale, radius=radius, dim=dim)
    gammas = math.lgamma(dim / 2) - math.lgamma(1 + alpha / 2) - math.lgamma((dim + alpha) / 2)
    return float((radius / scale) ** alpha * 2**-alpha * math.exp(gammas))


def truncated_exit_order(alpha: float, bound: float, width: float) -> float:
    """The m with an exit time of order scale**-m, when jumps are at most `bound`.

    m = alpha ceil(width / bound): so many jumps of order 1 must happen together (Wang, Oh and Rhee,
    ICLR 2022, for truncated heavy-tailed SGD; width / bound not an integer). Wider basins are not
    just slower to leave but slower by a power of the scale.

    Raises:
        ValueError: `alpha` is not in (0, 2), or `bound` or `width` is not positive.
    """
    check_jumps(alpha)
    check_positive(bound=bound, width=width)
    return alpha * math.ceil(width / bound)


def two_well_share(alpha: float, narrow: float, wide: float) -> float:
    """Share of time in the wide one of two wells of equal depth, jump-driven, scale -> 0.

    The rates of leaving are as narrow**-alpha to wide**-alpha, so the share is
    w**alpha / (w**alpha + n**alpha) whatever the shape of the wells, for jumps of any index (the
    two-state limit of Imkeller and Pavlyukevich 2006). Gaussian noise has `gibbs_share` instead.

    Raises:
        ValueError: An argument is not positive.
    """
    check_positive(alpha=alpha, narrow=narrow, wide=wide)
    return float(1 / (1 + (narrow / wide) ** alpha))


def gibbs_share(narrow: float, wide: float) -> float:
    """Share of time in the wide one of two wells of one shape, in Gaussian noise of any intensity.

    exp(-U / scale**2) integrates to a multiple of the width in each, so the share is w / (w + n).

    Raises:
        ValueError: An argument is not positive.
    """
    check_positive(narrow=narrow, wide=wide)
    return wide / (wide + narrow)


def refuted_proposal_exit_time(alpha: float, scale: float, barrier: float) -> float:
    """scale**-alpha exp(barrier / scale**alpha), as HTGA's proposal has it: false below alpha = 2.

    The power is right; the exponential and the barrier height belong to Gaussian noise, and the
    width is missing. At alpha = 2 the exponent is Kramers', the prefactor is not. Infinite where it
    exceeds float64.

    Raises:
        ValueError: `alpha` is not in (0, 2], or another argument is not positive.
    """
    check_alpha(alpha)
    check_positive(scale=scale, barrier=barrier)
    exponent = barrier / scale**alpha - alpha * math.log(scale)
    return math.exp(exponent) if exponent < 700 else math.inf


def monitored_width(width: float, scale: float, h: float) -> float:
    """The barrier to watch at steps of `h`, so that Brownian exits are as if watched all the time.

    A Gaussian walk passes a barrier by 0.5826 standard deviations of a step on average; moving the
    barrier in by as much corrects the exit time to first order (Chernoff 1965; Broadie, Glasserman
    and Kou 1997). The deviation of a step is scale sqrt(2 h).

    Raises:
        ValueError: The shift would be larger than the width: take a smaller `h`.
    """
    check_positive(width=width, scale=scale, h=h)
    shifted = width - MONITORING_SHIFT * scale * math.sqrt(2 * h)
    if shifted <= 0:
        raise ValueError(f"h={h} is too large for width={width} and scale={scale}: lower h")
    return shifted


def check_positive(**arguments: float) -> None:
    """Refuse what is not positive and finite, by name."""
    for name, value in arguments.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value} must be positive and finite")


def check_inside(low: float, high: float) -> None:
    """Refuse an interval that does not hold 0."""
    if not low < 0 < high:
        raise ValueError(f"({low}, {high}) does not hold the minimum at 0: low < 0 < high")
