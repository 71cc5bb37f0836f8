"""Measuring the gradient at every step of an optimizer."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from htga.tail import LogHistogram, Measurement, TailState, measure, smooth
from htga.telemetry.guard import Guard
from htga.telemetry.readout import Readout
from htga.telemetry.window import Window
from htga_client import wire
from htga_client.rows import Row

SMOOTHING = 0.95

SAMPLE = 2**16
"""Entries that steady the tail index to 4 %, at a small part of what a step costs."""

_INTEGERS = frozenset({"k", "n", "n_zero", "n_nonfinite", "status"})


class Probe:
    """Watches an optimizer and hands over a row for each of its steps.

    It sees the gradient that the optimizer applies: accumulated, unscaled and clipped. Where that
    stands in `p.grad` depends on the optimizer, and no one moment is right for all:

    * Before the step, normally. Afterwards several optimizers have overwritten it (SGD with
      Nesterov momentum, Adamax and others in their `foreach` form).
    * After the closure's first evaluation, for a step with a closure: before it, the gradient is
      the last step's.
    * After the step, for a fused optimizer under GradScaler: it unscales within the step, and
      writes the result back.

    An optimizer that has measured the tail itself, as HTGA does, says so by an attribute `tail`,
    which is read after the step; nothing is measured twice.

    No row is made on the training thread, and none of this waits for the device.

    Args:
        optimizer: Any torch optimizer.
        emit: Takes a callable that makes the row, on another thread, in order.
        first_step: Number of the first step.
        every: Measure every so many steps.
        histograms: Whether rows carry the histogram.
        sample: On a CPU, look at about this many entries of a larger gradient, other ones at each
            step; None looks at all, as a GPU always does. See `htga.tail.measure`.

    Attributes:
        steps: Number of the next step.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        emit: Callable[[Callable[[], Row]], Any],
        *,
        first_step: int = 0,
        every: int = 1,
        histograms: bool = True,
        sample: int | None = SAMPLE,
    ) -> None:
        self.steps = first_step
        self._emit = emit
        self._every = every
        self._histograms = histograms
        self._sample = sample
        self._guard = Guard("a step could not be measured")
        self._measures_itself = hasattr(optimizer, "tail")
        self._last: Measurement | TailState | None = None
        self._seen: Measurement | TailState | None = None
        self._alpha_bar: Tensor | None = None
        self._norms = Window()
        self._hooks = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]

    def detach(self) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()

    def _before(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        self._seen = None
        if self.steps % self._every or self._measures_itself:
            return None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if callable(closure):
            watched = partial(self._evaluate, optimizer, closure)
            if len(args) > 1:
                return (args[0], watched, *args[2:]), kwargs
            return args, kwargs | {"closure": watched}
        if getattr(optimizer, "grad_scale", None) is None:
            self._measure(optimizer)
        return None

    def _evaluate(self, optimizer: Optimizer, closure: Callable[[], Any]) -> Any:
        loss = closure()
        if self._seen is None:
            self._measure(optimizer)
        return loss

    def _after(self, optimizer: Optimizer, _: tuple[Any, ...], __: dict[str, Any]) -> None:
        step = self.steps
        self.steps += 1
        if step % self._every:
            return
        if self._measures_itself:
            self._seen = getattr(optimizer, "tail", None)
        elif self._seen is None:
            self._measure(optimizer)
        with self._guard:
            # A step without any gradient leaves nothing new.
            if self._seen is not None and self._seen is not self._last:
                self._last = self._seen
                self._hand_over(step, self._seen, optimizer)

    @torch.no_grad()
    def _measure(self, optimizer: Optimizer) -> None:
        with self._guard:
            gradients = [
                parameter.grad
                for group in optimizer.param_groups
                for parameter in group["params"]
                if parameter.grad is not None
            ]
            if gradients:
                on_cpu = gradients[0].device.type == "cpu"
                sample = self._sample if on_cpu else None
                self._seen = measure(gradients, sample=sample, seed=self.steps)

    def _hand_over(self, step: int, seen: Measurement | TailState, optimizer: Optimizer) -> None:
        numbers = {name: getattr(seen, name) for name in wire.SCALARS if hasattr(seen, name)}
        if "alpha_bar" not in numbers:
            before = torch.full_like(seen.alpha_hat, torch.nan)
            self._alpha_bar = smooth(
                before if self._alpha_bar is None else self._alpha_bar,
                seen.alpha_hat,
                seen.status,
                SMOOTHING,
                "inv_alpha",
            )
            numbers["alpha_bar"] = self._alpha_bar
        self._emit(
            partial(
                self._row,
                {"step": step, "time": time.time()},
                tuple(numbers),
                Readout(list(numbers.values())),
                seen.histogram if self._histograms else None,
                may_be_scaled=getattr(optimizer, "grad_scale", None) is not None,
            )
        )

    def _row(
        self,
        row: dict[str, Any],
        names: tuple[str, ...],
        readout: Readout,
        histogram: LogHistogram | None,
        *,
        may_be_scaled: bool,
    ) -> Row:
        for name, number in zip(names, readout.numbers(), strict=True):
            row[name] = int(number) if name in _INTEGERS else number
        row["grad_norm_var"] = self._norms.push(row["grad_norm"])
        # A fused step that meets a NaN or an infinity leaves the gradient scaled; a histogram in
        # other units than its neighbours' would mislead. The tail index has no units.
        if histogram is not None and not (may_be_scaled and row["n_nonfinite"]):
            row["histogram"] = histogram.to_bytes()
        return row
