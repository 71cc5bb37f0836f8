"""Noise that was recorded: of a small real network while it trains, and of a run's telemetry."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from htga.experiments import digits
from htga.experiments.levy.control import NoiseSource
from htga.levy import sample_stable, tail_constant
from htga.tail import hill

TAIL = 0.01
"""Share of entries that count as the tail."""


def gradient_noise(
    *,
    seed: int,
    steps: int = 200,
    records: int = 32,
    batch: int = 64,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Minibatch gradient minus full gradient of the digits network, after some training.

    Args:
        seed: Of the parameters and the batches.
        steps: Steps of SGD with momentum before the first record.
        records: How many minibatches to record, at the same parameters.
        batch: Size of a minibatch.
        progress: Called with 1 after every minibatch.

    Returns:
        float32, shape [records, number of parameters].
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        data, model = digits.load(), digits.network()
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, lr=0.02, momentum=0.9)
    stream = digits.batches(data, batch, seed)
    for x, y in islice(stream, steps):
        for parameter, part in zip(parameters, gradient(model, x, y), strict=True):
            parameter.grad = part
        optimizer.step()
        if progress is not None:
            progress(1)
    full = flatten(gradient(model, data.x, data.y))
    rows = []
    for x, y in islice(stream, records):
        rows.append(flatten(gradient(model, x, y)) - full)
        if progress is not None:
            progress(1)
    return torch.stack(rows)


def resampled(noise: Tensor, *, alpha: float, generator: torch.Generator) -> NoiseSource:
    """Draw entries of recorded noise at random, on the scale of stable noise.

    The scale is such that as many exceed the noise's own upper 1 % of magnitudes as do in stable
    noise of scale 1 and index `alpha`. Drawing entry by entry removes any dependence.

    Args:
        noise: Recorded noise of any shape.
        alpha: Index of the stable noise to compare with, in (0, 2).
        generator: NoiseSource of randomness.

    Raises:
        ValueError: The tail of the noise has no estimate, for instance if all of it is 0.
    """
    flat = noise.flatten()
    threshold = float(hill(flat, TAIL).threshold)
    if not threshold > 0:
        raise ValueError("the recorded noise has no tail: it is all zeros, or holds too few values")
    share = TAIL * float((flat != 0).float().mean())
    pool = flat * ((tail_constant(alpha) / share) ** (1 / alpha) / threshold)

    def draw(count: int) -> Tensor:
        drawn: Tensor = pool[torch.randint(len(pool), (count,), generator=generator)]
        return drawn

    return NoiseSource("digits", draw, None)


def noise_of_run(
    alpha: Sequence[float], sigma: Sequence[float], *, steps: int, generator: torch.Generator
) -> NoiseSource:
    """Stable noise with the index and scale that a run recorded, one measurement after the other.

    Each measurement lasts for an equal share of the steps. Its scale is relative to the median of
    all, which becomes the simulation's unit of noise. An index above 2, which no stable law has, is
    taken as 2.

    Args:
        alpha: The run's `noise_alpha`, positive.
        sigma: Its `noise_sigma` at the same steps, positive.
        steps: Number of draws until the record begins anew.
        generator: Source of randomness.

    Raises:
        ValueError: There is no measurement, or one is not positive and finite.
    """
    unit = median(sigma) if sigma else 0.0
    if not unit > 0 or not all(0 < x < math.inf for x in (*alpha, *sigma)):
        raise ValueError(
            "the run has no usable record of its noise: noise_alpha and noise_sigma must be "
            "measured and positive, with run.measure_noise or attach(noise=...)"
        )
    pieces = [(min(a, 2.0), s / unit) for a, s in zip(alpha, sigma, strict=True)]
    places = cycle([pieces[step * len(pieces) // steps] for step in range(steps)])

    def draw(count: int) -> Tensor:
        index, scale = next(places)
        return sample_stable(index, (count,), scale=scale, generator=generator).float()

    return NoiseSource("run", draw, None)


def gradient(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """The gradient of the mean loss on a batch."""
    loss = cross_entropy(model(x), y)
    return torch.autograd.grad(loss, list(model.parameters()))


def flatten(parts: tuple[Tensor, ...]) -> Tensor:
    """The parts as one vector."""
    return torch.cat([part.flatten() for part in parts])
