"""Symmetric alpha-stable random numbers, and the constants of their tails.

Everywhere in this package L is the symmetric alpha-stable Levy process with
E exp(i xi L_t) = exp(-t |xi|**alpha). At alpha = 2 it is a Brownian motion of variance 2 t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SMALLEST = 2.0**-54
"""Replaces a uniform variate of exactly 0, whose logarithm would be infinite."""


def sample_stable(
    alpha: float,
    shape: Sequence[int],
    *,
    scale: float = 1.0,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw independent symmetric stable numbers, E exp(i xi X) = exp(-|s xi|**alpha).

    With U uniform on (-pi/2, pi/2) and W exponential,
    X = s sin(alpha U) cos(U)**(-1/alpha) (cos((1 - alpha) U) / W)**((1 - alpha) / alpha)
    (Chambers, Mallows and Stuck, JASA 1976). In float32 the second power overflows now and then.

    Args:
        alpha: Stability index in (0, 2]; 1 is Cauchy, 2 is Gaussian with variance 2 s**2.
        shape: Shape of the result.
        scale: The s of the formula, not negative.
        generator: Source of randomness on `device`; the default generator if left out.
        device: Where to draw.

    Returns:
        float64, of the given shape.

    Raises:
        ValueError: `alpha` or `scale` is out of range.
    """
    check_alpha(alpha)
    check_scale(scale)
    angle, waiting = (
        _uniform_angle(shape, generator, device),
        _exponential(shape, generator, device),
    )
    if alpha == 1:
        return angle.tan_().mul_(scale)
    if alpha == 2:
        return angle.sin_().mul_(waiting.sqrt_()).mul_(2 * scale)
    # Three logarithms and one exponential cost a third of two powers.
    power = angle.mul(1 - alpha).cos_().log_().sub_(waiting.log_()).mul_(1 - alpha)
    power.sub_(torch.cos(angle, out=waiting).log_()).div_(alpha)
    return angle.mul_(alpha).sin_().mul_(power.exp_()).mul_(scale)


def sample_isotropic_stable(
    alpha: float,
    shape: Sequence[int],
    *,
    scale: float = 1.0,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw vectors with E exp(i <xi, X>) = exp(-|s xi|**alpha), the same in every direction.

    X = s sqrt(2 A) G with G standard Gaussian and A positive alpha/2-stable (sub-Gaussian form;
    Samorodnitsky and Taqqu 1994, section 2.5). `sample_stable` of the same shape has independent
    components instead, whose large values lie along the axes.

    Args:
        alpha: Stability index in (0, 2].
        shape: Shape of the result; the last axis holds the components of one vector.
        scale: The s of the formula, not negative.
        generator: Source of randomness on `device`; the default generator if left out.
        device: Where to draw.

    Returns:
        float64, of the given shape.

    Raises:
        ValueError: `alpha` or `scale` is out of range, or `shape` is empty.
    """
    check_alpha(alpha)
    check_scale(scale)
    if not shape:
        raise ValueError("shape is empty; its last axis must hold the components of a vector")
    normal = torch.empty(tuple(shape), dtype=torch.float64, device=device)
    normal.normal_(generator=generator)
    if alpha == 2:
        return normal.mul_(math.sqrt(2) * scale)
    radius = sample_positive_stable(alpha / 2, (*shape[:-1], 1), generator=generator, device=device)
    return normal.mul_(radius.mul_(2).sqrt_()).mul_(scale)


def sample_positive_stable(
    index: float,
    shape: Sequence[int],
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw positive stable numbers with E exp(-s A) = exp(-s**index).

    With V uniform on (0, pi) and W exponential,
    A = sin(a V) sin(V)**(-1/a) (sin((1 - a) V) / W)**((1 - a) / a) (Kanter, Annals of Probability
    1975).

    Args:
        index: The a of the formula, in (0, 1).
        shape: Shape of the result.
        generator: Source of randomness on `device`; the default generator if left out.
        device: Where to draw.

    Returns:
        float64, of the given shape.

    Raises:
        ValueError: `index` is out of range.
    """
    if not 0 < index < 1:
        raise ValueError(f"index={index} is not in (0, 1), where positive stable laws exist")
    angle = _uniform_angle(shape, generator, device).add_(math.pi / 2).clamp_min_(SMALLEST)
    waiting = _exponential(shape, generator, device)
    power = angle.mul(1 - index).sin_().log_().sub_(waiting.log_()).mul_(1 - index)
    power.sub_(torch.sin(angle, out=waiting).log_()).div_(index)
    return angle.mul_(index).sin_().mul_(power.exp_())


def tail_constant(alpha: float) -> float:
    """C with P(|L_1| > x) ~ C x**-alpha: (2 / pi) Gamma(alpha) sin(pi alpha / 2), and 0 at 2.

    C is also the Levy measure of {|y| > 1}, so half of it, c = C / 2, belongs to each side.

    Raises:
        ValueError: `alpha` is not in (0, 2].
    """
    check_alpha(alpha)
    if alpha == 2:
        return 0.0
    return 2 / math.pi * math.gamma(alpha) * math.sin(math.pi * alpha / 2)


def check_alpha(alpha: float) -> None:
    """Raise ValueError for an index without a symmetric stable law."""
    if not 0 < alpha <= 2:
        raise ValueError(f"alpha={alpha} is not in (0, 2], where symmetric stable laws exist")


def check_scale(scale: float) -> None:
    """Raise ValueError for a scale that is negative, infinite or NaN."""
    if not 0 <= scale < math.inf:
        raise ValueError(f"scale={scale} must be finite and not negative")


def _uniform_angle(
    shape: Sequence[int], generator: torch.Generator | None, device: torch.device | str | None
) -> Tensor:
    angle = torch.empty(tuple(shape), dtype=torch.float64, device=device)
    return angle.uniform_(generator=generator).sub_(0.5).mul_(math.pi)


def _exponential(
    shape: Sequence[int], generator: torch.Generator | None, device: torch.device | str | None
) -> Tensor:
    # `exponential_` would use one thread only.
    uniform = torch.empty(tuple(shape), dtype=torch.float64, device=device)
    return uniform.uniform_(generator=generator).clamp_min_(SMALLEST).log_().neg_()
