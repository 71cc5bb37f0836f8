"""Escapes under HTGA's control: two wells of equal depth, one twice as wide.

Every coordinate is a particle in the same landscape, x += lr (F(x) + a g), where g is noise and a g
is what HTGA makes of it. Only the noise is reweighted: weights on the force as well would overshoot
in wells this steep, and mix two effects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from htga.levy import TwoWells, sample_stable, tail_constant
from htga.optim import HTGA
from htga.optim.settings import Normalize, resolve

WELLS = TwoWells(left=1.0, right=2.0, depth=1.0)
LEARNING_RATE = 0.1
"""A step undoes 0.8 of a small displacement in the narrow well, 0.2 in the wide one."""

JUMP = 0.03
"""lr times the unit of the noise: small, since the saddle is at distances 1 and 2."""

MIN_PARTICLES = 5_000

PRESET = "amplify"
"""What `Control.settings` differ from."""

TAIL_FIELDS = ("control_alpha", "update_alpha", "beta", "gamma")


@dataclass(frozen=True, slots=True)
class NoiseSource:
    """Gradient noise.

    Attributes:
        name: For tables.
        draw: Maps a number of coordinates to their noise in one step, float32.
        alpha: Index of the stable law that it is drawn from; None for other laws.
    """

    name: str
    draw: Callable[[int], Tensor]
    alpha: float | None


@dataclass(frozen=True, slots=True)
class Control:
    """A name, and the arguments of `HTGA` that differ from its defaults."""

    name: str
    settings: dict[str, Any]


def controls(targets: Sequence[float], normalize: Normalize) -> list[Control]:
    """No control, the proposal's gamma, and beta for each of the targets.

    Raises:
        ValueError: `HTGA` does not accept a setting.
    """
    # The theory assumes exact ranks and weights without limits.
    common = {
        "k": 0.01,
        "normalize": normalize,
        "ranks": "exact",
        "scope": "global",
        "max_coord_share": 1.0,
    }
    gamma = {"actuator": "gamma", "direction": "as_written", "target_alpha": 1.5}
    beta = {"actuator": "beta", "beta_bounds": (-2.0, 2.0)}
    several = [
        Control("none", common | {"actuator": "none"}),
        Control("gamma", common | gamma),
        *(Control("beta", common | beta | {"target_alpha": target}) for target in targets),
    ]
    for control in several:
        resolve(PRESET, control.settings)  # fail before a simulation has run for minutes
    return several


@dataclass(frozen=True, slots=True, kw_only=True)
class Escape:
    """The result of one simulation.

    Attributes:
        noise: Name of the noise.
        control: Name of the control.
        target_alpha: Target of the control; NaN without one.
        alpha_hat: Mean tail index of the noise before control.
        update_alpha: Mean tail index of the noise after control, which drove the particles.
        beta, gamma: Mean exponent and factor of the controller.
        narrow: Escapes from the narrow well per particle and step in it.
        narrow_count: Number of these escapes.
        wide, wide_count: The same for the wide well.
        share: Share of particles in the wide well over the second half of the time.
        narrow_law, wide_law: The rates by `escape_rate`; NaN if the noise is not stable.
    """

    noise: str
    control: str
    target_alpha: float
    alpha_hat: float
    update_alpha: float
    beta: float
    gamma: float
    narrow: float
    narrow_count: int
    wide: float
    wide_count: int
    share: float
    narrow_law: float
    wide_law: float

    @property
    def width_exponent(self) -> float:
        """Power of 1 / width in the escape rates: the tail index, if escapes are single jumps."""
        if not self.narrow_count or not self.wide_count:
            return math.nan
        return math.log(self.narrow / self.wide) / math.log(WELLS.right / WELLS.left)

    @property
    def width_exponent_stderr(self) -> float:
        """Standard error from the counts alone."""
        if not self.narrow_count or not self.wide_count:
            return math.nan
        spread = math.hypot(self.narrow_count**-0.5, self.wide_count**-0.5)
        return spread / math.log(WELLS.right / WELLS.left)

    @property
    def balance(self) -> float:
        """Share in the wide well at which the escapes in both directions balance."""
        total = self.narrow + self.wide
        return self.narrow / total if total else math.nan

    @property
    def balance_stderr(self) -> float:
        """Standard error from the counts alone."""
        slope = self.balance * (1 - self.balance) * math.log(WELLS.right / WELLS.left)
        return slope * self.width_exponent_stderr


def escape(
    source: NoiseSource,
    control: Control,
    *,
    particles: int,
    steps: int,
    progress: Callable[[int], None] | None = None,
) -> Escape:
    """Start half of the particles in each minimum, and count the crossings.

    A crossing counts when a particle gets more than half way from the saddle to the other minimum.
    """
    if particles < MIN_PARTICLES:
        raise ValueError(
            f"particles must be at least {MIN_PARTICLES} for a tail of 1 %, got {particles}"
        )
    if steps < 2:
        raise ValueError(f"steps must be at least 2, got {steps}: the second half is averaged")
    x = torch.full((particles,), -WELLS.left, dtype=torch.float64)
    x[particles // 2 :] = WELLS.right
    in_wide = x > 0
    noise = torch.nn.Parameter(torch.zeros(particles))
    optimizer = HTGA(torch.optim.SGD([noise], lr=0.0), preset=PRESET, **control.settings)
    spent, crossed = torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    late = torch.zeros((), dtype=torch.int64)
    seen = torch.zeros(len(TAIL_FIELDS), dtype=torch.float64)
    for step in range(steps):
        # HTGA writes the amplified noise into `grad`.
        noise.grad = source.draw(particles)
        optimizer.step()
        seen += torch.stack([getattr(optimizer.tail, key) for key in TAIL_FIELDS])
        x += WELLS.force(x).mul_(LEARNING_RATE).add_(noise.grad, alpha=JUMP)
        now = torch.where(in_wide, x > -WELLS.left / 2, x > WELLS.right / 2)
        spent += torch.stack([(~in_wide).sum(), in_wide.sum()])
        crossed += torch.stack([(now & ~in_wide).sum(), (in_wide & ~now).sum()])
        in_wide = now
        if step >= steps // 2:
            late += now.sum()
        if progress is not None:
            progress(particles)
    narrow, wide = (crossed / spent).tolist()
    means = dict(zip(TAIL_FIELDS, (seen / steps).tolist(), strict=True))
    narrow_law, wide_law = (
        math.nan
        if source.alpha is None
        else escape_rate(
            width,
            alpha=source.alpha,
            beta=means["beta"],
            gamma=means["gamma"],
            particles=particles,
        )
        for width in (WELLS.left, WELLS.right)
    )
    return Escape(
        noise=source.name,
        control=control.name,
        target_alpha=control.settings.get("target_alpha", math.nan),
        **{key.replace("control_alpha", "alpha_hat"): mean for key, mean in means.items()},
        narrow=narrow,
        narrow_count=int(crossed[0]),
        wide=wide,
        wide_count=int(crossed[1]),
        share=float(late / (particles * (steps - steps // 2))),
        narrow_law=narrow_law,
        wide_law=wide_law,
    )


def escape_rate(width: float, *, alpha: float, beta: float, gamma: float, particles: int) -> float:
    """Escapes per step by single jumps over `width`, of stable noise with raw rank weights.

    A size that a share p of the entries exceeds has rank p d, but at least 1, so its weight is
    p**-beta: p = (C y**-alpha)**(1 / (1 + alpha beta)) down to p = 1/d, where the tail index
    is alpha / (1 + alpha beta); below, p = C (y d**-beta)**-alpha, where it is alpha as without
    control. No control by rank reaches beyond the largest entry. Half of p has either sign.
    """
    tail = tail_constant(alpha) * (JUMP * gamma / width) ** alpha
    p = tail ** (1 / (1 + alpha * beta))
    if p * particles < 1:
        p = tail * particles ** (alpha * beta)
    return float(p / 2)


def stable_noise(alpha: float, generator: torch.Generator) -> NoiseSource:
    """Symmetric stable noise of scale 1."""

    def draw(count: int) -> Tensor:
        return sample_stable(alpha, (count,), generator=generator).float()

    return NoiseSource("stable", draw, alpha)
