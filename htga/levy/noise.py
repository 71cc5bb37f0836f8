"""Driving noises: the increments of the state over a small step of time.

A noise is defined by its Levy measure, the number of jumps larger than y per unit of time. All are
symmetric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from htga.levy.stable import (
    check_alpha,
    check_scale,
    sample_isotropic_stable,
    sample_stable,
    tail_constant,
)


class Noise(Protocol):
    """A Levy process by its increments."""

    def increments(
        self,
        h: float,
        shape: Sequence[int],
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Independent increments over a time of `h`, float64, of the given shape."""
        ...


@dataclass(frozen=True, slots=True)
class Stable:
    """L times a scale, independent in every component: large jumps lie along the axes.

    Attributes:
        alpha: Stability index in (0, 2].
        scale: Intensity; the sigma or epsilon of the literature.
    """

    alpha: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_scale(self.scale)

    def increments(
        self,
        h: float,
        shape: Sequence[int],
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Standard stable numbers times scale * h**(1/alpha): exact for every `h`."""
        scale = self.scale * h ** (1 / self.alpha)
        return sample_stable(self.alpha, shape, scale=scale, generator=generator, device=device)


@dataclass(frozen=True, slots=True)
class Isotropic:
    """L times a scale in several dimensions, rotation invariant; the last axis is a vector.

    Attributes:
        alpha: Stability index in (0, 2].
        scale: Intensity.
    """

    alpha: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_scale(self.scale)

    def increments(
        self,
        h: float,
        shape: Sequence[int],
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Isotropic stable vectors times scale * h**(1/alpha): exact for every `h`."""
        scale = self.scale * h ** (1 / self.alpha)
        return sample_isotropic_stable(
            self.alpha, shape, scale=scale, generator=generator, device=device
        )


@dataclass(frozen=True, slots=True)
class Tempered:
    """Stable noise whose jumps of size y are kept with probability exp(-rate |y|).

    Its Levy measure is c scale**alpha exp(-rate |y|) |y|**(-1-alpha) dy: power laws up to sizes of
    about 1 / rate, exponential beyond, with all moments finite (Rosinski, SPA 2007).

    Attributes:
        alpha: Stability index in (0, 2), of the jumps smaller than 1 / rate.
        rate: Tempering rate, not negative, in units of one over the state.
        scale: Intensity.
    """

    alpha: float
    rate: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_jumps(self.alpha)
        check_scale(self.scale)
        if not 0 <= self.rate < math.inf:
            raise ValueError(f"rate={self.rate} must be finite and not negative")

    def increments(
        self,
        h: float,
        shape: Sequence[int],
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Stable increments thinned as a whole, which is right to first order in `h`."""
        whole = Stable(self.alpha, self.scale).increments(
            h, shape, generator=generator, device=device
        )
        uniform = torch.empty_like(whole).uniform_(generator=generator)
        return whole.masked_fill_(uniform >= whole.abs().mul_(-self.rate).exp_(), 0)


@dataclass(frozen=True, slots=True)
class Truncated:
    """Stable noise whose increments are clipped to `bound`, as by gradient clipping.

    Attributes:
        alpha: Stability index in (0, 2).
        bound: Largest size of an increment, positive, in units of the state.
        scale: Intensity.
    """

    alpha: float
    bound: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_jumps(self.alpha)
        check_scale(self.scale)
        if not self.bound > 0:
            raise ValueError(f"bound={self.bound} must be positive; infinity bounds nothing")

    def increments(
        self,
        h: float,
        shape: Sequence[int],
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Stable increments clamped to [-bound, bound]."""
        whole = Stable(self.alpha, self.scale).increments(
            h, shape, generator=generator, device=device
        )
        return whole.clamp_(-self.bound, self.bound)


@dataclass(frozen=True, slots=True)
class ParetoJumps:
    """Jumps larger than `threshold` with a Pareto tail of any index, on top of a Gaussian.

    The Levy measure of {|y| > x} is rate (threshold / x)**alpha for x >= threshold. It takes over
    where stable laws end: a measured tail index above 2 has a jump measure, but no stable law.

    Attributes:
        alpha: Tail index, positive.
        rate: Jumps per unit of time, not negative.
        threshold: Smallest jump, positive, in units of the state.
        deviation: Standard deviation of the Gaussian part over a unit of time.
    """

    alpha: float
    rate: float
    threshold: float
    deviation: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < math.inf:
            raise ValueError(f"alpha={self.alpha} must be positive and finite")
        if not 0 <= self.rate < math.inf:
            raise ValueError(f"rate={self.rate} must be finite and not negative")
        if not 0 < self.threshold < math.inf:
            raise ValueError(f"threshold={self.threshold} must be positive and finite")
        check_scale(self.deviation)

    def increments(
        self,
        h: float,
        shape: Sequence[int],
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """A Gaussian and a Poisson number of jumps in every entry: exact for every `h`."""
        sums = torch.empty(tuple(shape), dtype=torch.float64, device=device)
        sums.normal_(std=self.deviation * math.sqrt(h), generator=generator)
        counts = torch.full((sums.numel(),), self.rate * h, dtype=torch.float64, device=device)
        where = torch.poisson(counts, generator=generator).long()
        where = torch.arange(len(where), device=device).repeat_interleave(where)
        uniform = torch.empty(len(where), dtype=torch.float64, device=device)
        # One uniform number gives both sign and size: v in (-1, 1) jumps by sign(v) |v|**(-1/a).
        uniform = uniform.uniform_(generator=generator).sub_(0.5).mul_(2)
        jumps = uniform.sign() * uniform.abs_().pow_(-1 / self.alpha) * self.threshold
        return sums.view(-1).index_add_(0, where, jumps).view(sums.shape)


def jump_rate(noise: Stable | ParetoJumps, size: float) -> float:
    """Jumps per unit of time that are larger than `size`, of either sign, in one component.

    For stable noise C (scale / size)**alpha, with C of `tail_constant`.

    Raises:
        ValueError: `size` is not positive, or lies below the threshold of Pareto jumps.
    """
    if not size > 0:
        raise ValueError(f"size={size} must be positive")
    if isinstance(noise, Stable):
        return float(tail_constant(noise.alpha) * (noise.scale / size) ** noise.alpha)
    if size < noise.threshold:
        raise ValueError(f"size={size} is below the threshold {noise.threshold} of the jumps")
    return float(noise.rate * (noise.threshold / size) ** noise.alpha)


def check_jumps(alpha: float) -> None:
    """Raise ValueError for an index at which the stable process does not jump."""
    check_alpha(alpha)
    if alpha == 2:
        raise ValueError("alpha=2 is Brownian motion, which has no jumps; take alpha below 2")
