"""What every preset does on every task, against the optimizer that it wraps."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from htga.experiments.methods import Method
from htga.experiments.rate_search import Choice, search
from htga.experiments.replicas import train_replicas
from htga.experiments.tasks import Task
from htga.experiments.trial import Outcome, train

TUNING_SEED, TEST_SEED = 100, 1000
"""The first seeds that choose a learning rate, and that are tested with it."""

BASES = (Method("SGD"), Method("SGD", clips=True), Method("AdamW"), Method("Signum"))

PRESETS = (
    Method("SGD", settings={"preset": "guard"}),
    Method("SGD", clips=True, settings={"preset": "guard"}),
    Method("SGD", settings={"preset": "temper"}),
    Method("SGD", clips=True, settings={"preset": "temper"}),
    Method("SGD", settings={"preset": "amplify"}),
    Method("SGD", settings={"preset": "seed"}),
    Method("AdamW", settings={"preset": "guard"}),
    Method("AdamW", settings={"preset": "amplify"}),
)

OF_TEXT = (
    Method("SGD", clips=True),
    Method("SGD", clips=True, settings={"preset": "guard"}),
    Method("SGD", clips=True, settings={"preset": "temper"}),
    Method("SGD", clips=True, settings={"preset": "amplify"}),
    Method("AdamW"),
    Method("AdamW", settings={"preset": "guard"}),
)
"""A training of characters takes seconds, so these are fewer."""


def methods_for(task: Task) -> tuple[Method, ...]:
    """What is compared on a task, every base before the presets around it."""
    return (*BASES, *PRESETS) if task.small else OF_TEXT


def tuned(task: Task, method: Method) -> Choice:
    """The learning rate with the smallest mean validation loss over the seeds for tuning."""
    seeds = range(TUNING_SEED, TUNING_SEED + task.n_tuning)

    def losses(rates: Sequence[float]) -> list[float]:
        outcomes = trained(task, method, rates, seeds, real=not task.small)
        return [fmean(o.val_loss for o in outcomes if o.lr == lr) for lr in rates]

    return search(losses, method.first_rates)


def tested(task: Task, method: Method, lr: float, *, real: bool) -> list[Outcome]:
    """Outcomes over the seeds for testing; `real` takes the optimizer itself, not replicas."""
    return trained(task, method, [lr], range(TEST_SEED, TEST_SEED + task.n), real=real)


def trained(
    task: Task, method: Method, rates: Sequence[float], seeds: Sequence[int], *, real: bool
) -> list[Outcome]:
    """Outcomes by rate, then by seed."""
    if not real:
        return train_replicas(task, method, rates, seeds)
    return [train(task, method, lr, seed) for lr in rates for seed in seeds]
