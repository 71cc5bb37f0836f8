"""Many trainings of a small network at once: every learning rate and seed is one replica.

A step of a network of 3,000 parameters is dominated by the number of operations. Here all replicas
share them. HTGA's own functions are mapped over the replicas with `torch.vmap`; ranks are exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from htga.experiments.amplified_replicas import AmplifiedReplicas
from htga.experiments.methods import BETAS, Method
from htga.experiments.tasks import Task, loss_of
from htga.experiments.trial import Outcome, held_out
from htga.optim.htga import HTGA


def train_replicas(
    task: Task, method: Method, rates: Sequence[float], seeds: Sequence[int]
) -> list[Outcome]:
    """Train with every rate and seed, and measure on what was held out.

    Returns:
        Outcomes by rate, then by seed. They differ from those of `trial.train` as sums in another
        order do, and by fast ranks.
    """
    batch = fit_replicas(task, method, rates, seeds)
    acted, alphas = batch.watched()
    outcomes = []
    for i, (lr, seed) in enumerate((lr, seed) for lr in rates for seed in seeds):
        split = task.split(seed)
        held = held_out(batch.scores(i, split.x_val), batch.scores(i, split.x_test), split)
        outcomes.append(Outcome(lr=lr, seed=seed, **held, acted=acted[i], control_alpha=alphas[i]))
    return outcomes


def fit_replicas(
    task: Task, method: Method, rates: Sequence[float], seeds: Sequence[int]
) -> Replicas:
    """The trained replicas, by rate, then by seed."""
    splits = [task.split(seed) for seed in seeds]
    orders = [task.order(split, seed) for split, seed in zip(splits, seeds, strict=True)]
    batch = Replicas.of(task, method, rates, seeds)
    count = batch.theta.shape[1]
    noises = [] if task.noise is None else [task.noise.of(s, task.steps, count) for s in seeds]
    rms: Tensor | None = None
    for step in range(task.steps):
        x = torch.stack([s.x[order[step]] for s, order in zip(splits, orders, strict=True)])
        y = torch.stack([s.y[order[step]] for s, order in zip(splits, orders, strict=True)])
        gradient = batch.gradient(x, y)
        if noises:
            rms = gradient.square().mean(1, keepdim=True).sqrt() if rms is None else rms
            noise = torch.stack([of_seed[step] for of_seed in noises])
            gradient = gradient + rms * noise.repeat(len(rates), 1)
        batch.step(gradient, task.rate(step))
    return batch


@dataclass(slots=True)
class Replicas:
    """R copies of a network, each with its own weights, learning rate and optimizer's state.

    Attributes:
        model: The network's structure.
        method: The optimizer.
        clip: Norm at which a method with a clip cuts the gradient.
        theta: All parameters of each replica, float32 [R, P].
        rates: Highest learning rate of each, float32 [R, 1].
        first, second: Averages of the gradient and of its square, as the base needs them.
        amplifier: What HTGA does; None for the base alone.
        steps: Number of steps so far.
    """

    model: nn.Module
    method: Method
    clip: float
    theta: Tensor
    rates: Tensor
    first: Tensor
    second: Tensor
    amplifier: AmplifiedReplicas | None
    steps: int = 0

    @classmethod
    def of(
        cls, task: Task, method: Method, rates: Sequence[float], seeds: Sequence[int]
    ) -> Replicas:
        """All replicas before their first step, by rate, then by seed."""
        models = [task.network(seed) for seed in seeds]
        rows = [nn.utils.parameters_to_vector(model.parameters()).detach() for model in models]
        theta = torch.stack(rows).repeat(len(rates), 1)
        amplifier = None
        optimizer = method.optimizer(models[0].parameters(), 0.0)
        if isinstance(optimizer, HTGA):
            sizes = [p.numel() for p in models[0].parameters()]
            amplifier = AmplifiedReplicas.of(optimizer.settings, sizes, len(theta))
        return cls(
            models[0],
            method,
            task.clip,
            theta,
            torch.tensor(rates).repeat_interleave(len(seeds)).unsqueeze(1),
            torch.zeros_like(theta),
            torch.zeros_like(theta),
            amplifier,
        )

    def _forward(self, theta: Tensor, x: Tensor) -> Tensor:
        shapes = {name: p.shape for name, p in self.model.named_parameters()}
        parts = theta.split([math.prod(shape) for shape in shapes.values()])
        named = {
            name: part.view(shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }
        scores: Tensor = functional_call(self.model, named, (x,))
        return scores

    def gradient(self, x: Tensor, y: Tensor) -> Tensor:
        """Each replica's gradient, float32 [R, P], of the batches of each seed, [S, B, ...]."""
        times = len(self.theta) // len(x)
        theta = self.theta.clone().requires_grad_()
        each = torch.vmap(lambda t, x, y: loss_of(self._forward(t, x), y))
        total = each(theta, x.repeat(times, *[1] * (x.ndim - 1)), y.repeat(times, 1)).sum()
        (gradient,) = torch.autograd.grad(total, theta)
        return gradient

    @torch.no_grad()
    def scores(self, i: int, x: Tensor) -> Tensor:
        """Scores of replica `i`."""
        return self._forward(self.theta[i], x)

    def watched(self) -> tuple[list[float], list[float]]:
        """Of each replica, the share of steps in which HTGA acted, and the median index it saw."""
        if self.amplifier is None:
            return [math.nan] * len(self.theta), [math.nan] * len(self.theta)
        medians = torch.stack(self.amplifier.seen).nanmedian(0).values
        return (self.amplifier.acted / self.steps).tolist(), medians.tolist()

    def step(self, gradient: Tensor, factor: float) -> None:
        """Take one step, with `factor` on the learning rates."""
        self.steps += 1
        if self.method.clips:
            # As `clip_grad_norm_` does it.
            norm = gradient.norm(dim=1, keepdim=True)
            gradient = gradient * (self.clip / (norm + 1e-6)).clamp(max=1)
        amplifier = self.amplifier
        if amplifier is not None and amplifier.settings.apply == "grad":
            gradient = amplifier.amplify(gradient)
        moved = self._moved(gradient, self.rates * factor)
        if amplifier is not None and amplifier.settings.apply == "update":
            moved = amplifier.amplify(moved - self.theta) + self.theta
        self.theta = moved

    def _moved(self, gradient: Tensor, lr: Tensor) -> Tensor:
        """Where the base brings the parameters."""
        if self.method.base == "SGD":
            self.first = 0.9 * self.first + gradient
            return self.theta - lr * self.first
        if self.method.base == "AdamW":
            self.first = self.first.lerp(gradient, 0.1)
            self.second = 0.999 * self.second + 0.001 * gradient.square()
            root = self.second.sqrt() / math.sqrt(1 - 0.999**self.steps) + 1e-8
            decayed = self.theta * (1 - lr * 0.01)
            return decayed - lr / (1 - 0.9**self.steps) * self.first / root
        b1, b2 = BETAS[self.method.base]
        moved = self.theta - lr * self.first.lerp(gradient, 1 - b1).sign()
        self.first = self.first.lerp(gradient, 1 - b2)
        return moved
