"""One training with a real optimizer."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from htga.experiments.data import Split
from htga.experiments.methods import Method
from htga.experiments.tasks import Task, accuracy_of, loss_of
from htga.optim import HTGA


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a training has come to.

    Attributes:
        lr: The learning rate at its highest.
        seed: Of data, weights, batches and noise.
        val_loss, test_loss: Mean negative log-likelihood in nats. A training that diverged to
            numbers that are not finite counts as a guess among the classes.
        val_accuracy, test_accuracy: Shares of right answers.
        acted: Share of steps in which HTGA changed the gradient; NaN where there is none.
        control_alpha: Median over the steps of what it saw; NaN where there is none.
        seconds: Processor time of the training; NaN where several trained at once.
    """

    lr: float
    seed: int
    val_loss: float
    val_accuracy: float
    test_loss: float
    test_accuracy: float
    acted: float = math.nan
    control_alpha: float = math.nan
    seconds: float = math.nan


def train(task: Task, method: Method, lr: float, seed: int) -> Outcome:
    """Train once, and measure on what was held out."""
    split = task.split(seed)
    began = time.process_time()
    model, seen = fit(task, method, lr, seed)
    seconds = time.process_time() - began
    acted = alpha = math.nan
    if seen:
        beta, gamma, alphas = torch.stack(seen).unbind(1)
        acted = float(((beta != 0) | (gamma != 1)).double().mean())
        alpha = float(alphas.nanmedian())
    with torch.no_grad():
        held = held_out(model(split.x_val), model(split.x_test), split)
    return Outcome(lr=lr, seed=seed, **held, acted=acted, control_alpha=alpha, seconds=seconds)


def fit(task: Task, method: Method, lr: float, seed: int) -> tuple[nn.Module, list[Tensor]]:
    """The trained network, and beta, gamma and control_alpha of each step of HTGA, float64 [3]."""
    split = task.split(seed)
    model = task.network(seed)
    parameters = list(model.parameters())
    optimizer = method.optimizer(parameters, lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, task.rate)
    count = sum(p.numel() for p in parameters)
    noise = None if task.noise is None else task.noise.of(seed, task.steps, count)
    rms: Tensor | None = None
    seen: list[Tensor] = []
    for step, places in enumerate(task.order(split, seed)):
        optimizer.zero_grad()
        loss_of(model(split.x[places]), split.y[places]).backward()
        if noise is not None:
            rms = root_mean_square(parameters) if rms is None else rms
            add(noise[step] * rms, parameters)
        if method.clips:
            nn.utils.clip_grad_norm_(parameters, task.clip)
        optimizer.step()
        schedule.step()
        if isinstance(optimizer, HTGA) and optimizer.tail is not None:
            tail = optimizer.tail
            seen.append(torch.stack([tail.beta, tail.gamma, tail.control_alpha]))
    return model, seen


def held_out(val: Tensor, test: Tensor, split: Split) -> dict[str, float]:
    """Losses and accuracies of the scores of what was held out."""
    classes = test.shape[-1]
    found: dict[str, float] = {}
    for name, scores, y in (("val", val, split.y_val), ("test", test, split.y_test)):
        loss = float(loss_of(scores, y))
        failed = not math.isfinite(loss)
        found[f"{name}_loss"] = math.log(classes) if failed else loss
        found[f"{name}_accuracy"] = 1 / classes if failed else float(accuracy_of(scores, y))
    return found


def root_mean_square(parameters: list[nn.Parameter]) -> Tensor:
    """Of the entries of all gradients."""
    return flat_gradient(parameters).square().mean().sqrt()


def flat_gradient(parameters: list[nn.Parameter]) -> Tensor:
    """All gradients as one vector."""
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])


def add(noise: Tensor, parameters: list[nn.Parameter]) -> None:
    """Add a vector to all gradients."""
    for p, part in zip(parameters, noise.split([p.numel() for p in parameters]), strict=True):
        if p.grad is not None:
            p.grad += part.view_as(p)
