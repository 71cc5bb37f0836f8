"""Euler-Maruyama for dX = -grad U(X) dt + dL, many particles at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from htga.levy.noise import Noise
from htga.levy.potential import Potential

BLOCK = 1_000_000
"""Number of particle-steps for which noise is drawn at a time, 8 MB."""


def simulate(
    potential: Potential,
    noise: Noise | Sequence[Noise],
    start: Tensor,
    *,
    h: float,
    steps: int,
    every: int = 1,
    tamed: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Follow particles from `start`.

    Args:
        potential: The landscape.
        noise: The noise of every step. The elements of a sequence drive equal shares of the steps,
            one after another, as for a recorded tail index: see `recorded_noise`.
        start: Initial states, of any shape that the potential accepts.
        h: Step of time.
        steps: Number of steps.
        every: Keep every so many-th state.
        tamed: See `drift`.
        generator: Source of randomness, on the device of `start`.

    Returns:
        float64, shape [1 + steps // every, *start.shape]; the first entry is `start`.

    Raises:
        ValueError: `h`, `steps` or `every` is not positive, or `steps` is not a multiple of `every`
            or of the number of noises.
    """
    check_step(h, steps)
    noises: Sequence[Noise] = noise if isinstance(noise, Sequence) else (noise,)
    if every < 1 or steps % every:
        raise ValueError(f"every={every} must be positive and divide steps={steps}")
    if not noises or steps % len(noises):
        raise ValueError(f"{len(noises)} noises cannot take equal shares of steps={steps}")
    x = start.double()
    path = x.new_empty((1 + steps // every, *x.shape))
    path[0] = x
    increments = (
        increment
        for element in noises
        for increment in blocks(element, x, h=h, steps=steps // len(noises), generator=generator)
    )
    for step, increment in enumerate(increments, start=1):
        x = x + drift(potential, x, h, tamed=tamed).add_(increment)
        if step % every == 0:
            path[step // every] = x
    return path


def drift(potential: Potential, x: Tensor, h: float, *, tamed: bool) -> Tensor:
    """The displacement by the force in one step: h F(x), or, tamed, h F / (1 + h |F|).

    Where the force grows faster than linearly, plain Euler-Maruyama overshoots ever further after
    a large jump; the tamed step is never longer than 1, and converges all the same (Hutzenthaler,
    Jentzen and Kloeden, Annals of Applied Probability 2012).
    """
    move = potential.force(x).mul(h)
    return move.div(move.abs().add_(1)) if tamed else move


def blocks(
    noise: Noise, x: Tensor, *, h: float, steps: int, generator: torch.Generator | None
) -> Iterator[Tensor]:
    """The increments of `steps` steps, each of the shape of `x`, drawn many at a time."""
    chunk = max(1, BLOCK // max(1, x.numel()))
    for first in range(0, steps, chunk):
        shape = (min(chunk, steps - first), *x.shape)
        yield from noise.increments(h, shape, generator=generator, device=x.device)


def check_step(h: float, steps: int) -> None:
    """Raise ValueError for a step of time or a number of steps that is not positive."""
    if not 0 < h < float("inf"):
        raise ValueError(f"h={h} must be positive and finite")
    if steps < 1:
        raise ValueError(f"steps={steps} must be at least 1")
