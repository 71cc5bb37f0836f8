"""What is learned: data, a network, a number of steps, and noise on the gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from htga.experiments.data import Split, digits_split, text_split
from htga.experiments.models import CharTransformer, perceptron
from htga.levy import sample_stable


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Independent symmetric stable numbers that are added to every coordinate of a gradient.

    Attributes:
        alpha: Their stability index, in (0, 2].
        scale: Their scale, in root mean squares of the first gradient.
    """

    alpha: float
    scale: float

    def of(self, seed: int, steps: int, numel: int) -> Tensor:
        """The noise of all steps, for a gradient of root mean square 1, float32 [steps, numel]."""
        return _noise(self, seed, steps, numel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task of the study. The learning rate falls linearly, and a seed gives all the rest.

    Attributes:
        name: Of the task.
        split: The data of a seed.
        model: Makes the network, from torch's generator.
        steps: Number of steps.
        batch: Number of examples in a step.
        warm_up: Number of steps over which the learning rate rises first.
        clip: The norm at which methods with a clip cut the gradient.
        noise: What is added to each gradient, before it is clipped.
        n: Number of seeds in a test.
        n_tuning: Number of other seeds that choose the learning rate.
        small: Whether many replicas train at once, see `replicas`.
    """

    name: str
    split: Callable[[int], Split]
    model: Callable[[], nn.Module]
    steps: int
    batch: int
    warm_up: int = 0
    clip: float = 0.5
    noise: Noise | None = None
    n: int = 16
    n_tuning: int = 8
    small: bool = True

    def network(self, seed: int) -> nn.Module:
        """The network with the weights of a seed; torch's own generator stays as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.model()

    def order(self, split: Split, seed: int) -> Tensor:
        """Examples of every step, int64 [steps, batch]: each epoch in a new order."""
        generator = torch.Generator().manual_seed(seed)
        wanted, size = self.steps * self.batch, len(split.x)
        epochs = [torch.randperm(size, generator=generator) for _ in range(-(-wanted // size))]
        return torch.cat(epochs)[:wanted].view(self.steps, self.batch)

    def rate(self, step: int) -> float:
        """Factor on the learning rate at a step, counted from 0."""
        return min(1.0, (step + 1) / (self.warm_up + 1)) * (1 - step / self.steps)


@lru_cache(maxsize=16)
def _noise(noise: Noise, seed: int, steps: int, numel: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (steps, numel)
    return sample_stable(noise.alpha, shape, scale=noise.scale, generator=generator).float()


def loss_of(scores: Tensor, y: Tensor) -> Tensor:
    """Mean negative log-likelihood of labels of any shape; scores have the classes last."""
    return functional.cross_entropy(scores.flatten(0, -2), y.flatten())


def accuracy_of(scores: Tensor, y: Tensor) -> Tensor:
    """Share of labels with the highest score."""
    return (scores.argmax(-1) == y).float().mean()


def _digits(name: str, split: Callable[[int], Split], noise: Noise | None = None) -> Task:
    return Task(name=name, split=split, model=perceptron, steps=300, batch=64, noise=noise)


TASKS = {
    task.name: task
    for task in (
        _digits("digits", digits_split),
        _digits("digits, 10 % of the data", partial(digits_split, share=0.1)),
        _digits("digits, 20 % wrong labels", partial(digits_split, wrong_labels=0.2)),
        _digits("digits, stable noise", digits_split, Noise(alpha=1.3, scale=0.3)),
        Task(
            name="characters",
            split=lambda _: text_split(),
            model=CharTransformer,
            steps=120,
            batch=16,
            warm_up=20,
            clip=1.0,
            n=5,
            n_tuning=1,
            small=False,
        ),
    )
}
