"""The schedule of measurements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from torch.optim import Optimizer

MEMORY = 0.9
"""Smoothing of the average durations of a step and of a measurement."""


class MeasureSchedule:
    """Decides which steps are measured: each `every`-th, or fewer to stay within a budget.

    Args:
        every: Measure every so many steps, or less often.
        budget: Share of the training time that measuring may take, or None for no limit.
        first: Number of the first step.
    """

    def __init__(self, *, every: int = 1, budget: float | None = None, first: int = 0) -> None:
        self._every = every
        self._budget = budget
        self._next = first
        self._step = self._cost = math.nan  # seconds, averaged

    def is_due(self, step: int) -> bool:
        """Whether to measure this step."""
        return step >= self._next

    def measured(self, step: int, cost: float) -> None:
        """Record that a step was measured, and the seconds that it took."""
        self._cost = _average(self._cost, cost)
        gap = self._every
        if self._budget is not None and self._step > 0:
            gap = max(gap, math.ceil(self._cost / (self._budget * self._step)))
        self._next = step + gap

    def passed(self, seconds: float) -> None:
        """Record the seconds of one training step, without its measurement."""
        self._step = _average(self._step, seconds)


class Counter(Protocol):
    """Counts steps.

    Attributes:
        steps: Number of the next one.
    """

    steps: int


class EverySteps:
    """Calls a function after the first step of an optimizer, and after every so many.

    A step that the counter does not count is none. The hook of a copied or unpickled optimizer
    calls nothing.

    Args:
        optimizer: Its steps are waited for.
        counter: Counts them, before this is told of them.
        every: Number of steps from one call to the next.
        call: The function.
    """

    def __init__(
        self, optimizer: Optimizer, counter: Counter, every: int, call: Callable[[], Any]
    ) -> None:
        self._counter = counter
        self._steps = counter.steps
        self._taken = 0
        self._every = every
        self._call = call
        self._hook = optimizer.register_step_post_hook(self)

    def __call__(self, *_: Any) -> None:
        """Take note of a step."""
        if self._counter.steps == self._steps:
            return
        self._steps = self._counter.steps
        self._taken += 1
        if (self._taken - 1) % self._every == 0:
            self._call()

    def __reduce__(self) -> tuple[Any, ...]:
        return _NoHook, ()

    def remove(self) -> None:
        """Call no more."""
        self._hook.remove()


class _NoHook:
    def __call__(self, *_: Any) -> None:
        pass


def _average(mean: float, value: float) -> float:
    return value if math.isnan(mean) else MEMORY * mean + (1 - MEMORY) * value
