"""Measuring the gradient at every step of an optimizer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from htga.tail import draw, measure
from htga.telemetry.guard import Guard
from htga.telemetry.layers import chosen, names_of
from htga.telemetry.merged import measure_merged
from htga.telemetry.pace import Pace
from htga.telemetry.readout import Readout
from htga.telemetry.report import Part, Report, Seen, Source
from htga_client.wire.row_encoder import Row

SAMPLE = 2**16
"""Entries that steady the tail index to 4 %, at a small part of what a step costs."""

LAYER_SAMPLE = 2**13

MOST_WAITING = 64
"""Samples that may wait for the other thread, a quarter of a MiB each."""


class Probe:
    """Watches an optimizer and hands over rows for each of its steps.

    It sees the gradient that the optimizer applies: accumulated, unscaled and clipped. Where that
    stands in `p.grad` depends on the optimizer, and no one moment is right for all:

    * Before the step, normally. Afterwards several optimizers have overwritten it (SGD with
      Nesterov momentum, Adamax and others in their `foreach` form).
    * After the closure's first evaluation, for a step with a closure: before it, the gradient is
      the last step's.
    * After the step, for a fused optimizer under GradScaler: it unscales within the step, and
      writes the result back.

    An optimizer that measures the tail itself, as HTGA does, says so by an attribute `tail`, which
    is read after the step. Its layers are measured before it amplifies them, but for those that it
    has measured one by one as well.

    No row is made on the training thread, and none of this waits for the device.

    Args:
        optimizer: Any torch optimizer.
        emit: Takes a callable that makes the rows, on another thread, in order; None to take part
            in what all processes measure together and show nothing.
        model: Gives the layers their names.
        first_step: Number of the first step.
        every: Measure every so many steps.
        budget: Share of the training time that measuring may take; where it would take more, it is
            done less often. None for any.
        layers: Patterns of the names of layers to measure one by one as well.
        layers_every: At every so many of the measured steps.
        layers_top: How many of them at most, the largest.
        histograms: Whether rows carry the histogram.
        rank: Of this process.
        sharded: Whether this process holds a part of each parameter only. Then all processes
            measure together, whole and at the same steps, whatever the budget; no layers.
        sample: On a CPU, look at about this many entries of a larger gradient, other ones at each
            step; None looks at all, as a GPU always does. See `htga.tail.measure`.

    Attributes:
        steps: Number of the next step.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        emit: Callable[[Callable[[], Sequence[Row]]], Any] | None,
        *,
        model: nn.Module | None = None,
        first_step: int = 0,
        every: int = 1,
        budget: float | None = None,
        layers: Sequence[str] = (),
        layers_every: int = 20,
        layers_top: int = 50,
        histograms: bool = True,
        rank: int = 0,
        sharded: bool = False,
        sample: int | None = SAMPLE,
    ) -> None:
        self.steps = first_step
        self._emit = emit
        self._sample = sample
        self._sharded = sharded
        self._pace = Pace(every=every, budget=None if sharded else budget, first=first_step)
        self._report = Report(histograms=histograms, rank=rank)
        self._guard = Guard("a step could not be measured")
        self._names = names_of(optimizer, model)
        self._layers = [] if sharded else chosen(optimizer, self._names, layers, layers_top)
        self._layers_every = layers_every
        self._measures_itself = hasattr(optimizer, "tail")
        self._measurements = 0
        self._handed_over = 0
        self._seen: Source | None = None
        self._last: Source | None = None
        self._looked = False
        self._parts: list[Part] = []
        self._own: dict[str, int] = {}  # layers that the optimizer measures, and their `tails`
        self._offenders: tuple[list[str], Tensor] | None = None
        self._spent = 0.0  # seconds of this step
        self._left_at = 0.0
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
        self._seen, self._looked, self._spent = None, False, 0.0
        self._parts, self._own, self._offenders = [], {}, None
        if not self._pace.is_due(self.steps):
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
        if not self._looked:
            self._measure(optimizer)
        return loss

    def _after(self, optimizer: Optimizer, _: tuple[Any, ...], __: dict[str, Any]) -> None:
        step = self.steps
        self.steps += 1
        if self._pace.is_due(step):
            if not self._looked:
                self._measure(optimizer)
            if self._measures_itself:
                self._seen = getattr(optimizer, "tail", None)
            with self._guard:
                begin = time.perf_counter()
                # A step without any gradient leaves nothing new.
                if self._seen is not None and self._seen is not self._last:
                    self._last, bad = self._seen, self._seen.n_nonfinite
                    if self._measures_itself and bad.device.type == "cpu" and bad:
                        self._offenders = self._suspects(optimizer)  # nothing was amplified
                    self._hand_over(step, self._seen, optimizer, begin)
                self._spent += time.perf_counter() - begin
                self._pace.measured(step, self._spent)
        now = time.perf_counter()
        if self._left_at:
            self._pace.passed(now - self._left_at - self._spent)
        self._left_at = now

    @torch.no_grad()
    def _measure(self, optimizer: Optimizer) -> None:
        self._looked = True
        with self._guard:
            begin = time.perf_counter()
            gradients = list(_gradients(optimizer).values())
            if gradients:
                on_cpu = gradients[0].device.type == "cpu"
                if not self._measures_itself:
                    sample = self._sample if on_cpu else None
                    self._seen = self._look(gradients, sample, self.steps)
                    if not on_cpu or self._seen.n_nonfinite:  # on a CPU, a look costs no waiting
                        self._offenders = self._suspects(optimizer)
                if self._layers and self._measurements % self._layers_every == 0:
                    self._parts = self._look_at_layers(optimizer, on_cpu)
                self._measurements += 1
            self._spent += time.perf_counter() - begin

    def _suspects(self, optimizer: Optimizer) -> tuple[list[str], Tensor]:
        """All layers and the norms of their gradients."""
        gradients = _gradients(optimizer)
        names = [self._names.get(parameter, "?") for parameter in gradients]
        return names, _norms(list(gradients.values()))

    def _look(self, gradients: Sequence[Tensor], sample: int | None, seed: int) -> Source:
        """Measure gradients, or draw a sample for the other thread to measure."""
        if self._sharded:
            return measure_merged(gradients)
        if sample is None:
            return measure(gradients)
        if self._handed_over - self._report.made > MOST_WAITING:
            return measure(gradients, sample=sample, seed=seed)
        return draw(gradients, sample, seed)

    def _look_at_layers(self, optimizer: Optimizer, on_cpu: bool) -> list[Part]:
        sample = LAYER_SAMPLE if on_cpu and self._sample else None
        alone = getattr(optimizer, "alone", {})
        parts = []
        for parameter in self._layers:
            name = self._names[id(parameter)]
            if parameter.grad is None:
                continue
            if id(parameter) in alone:
                self._own[name] = alone[id(parameter)]
            else:
                parts.append(Part(name, self._look([parameter.grad], sample, self._measurements)))
        return parts

    def _hand_over(self, step: int, seen: Source, optimizer: Optimizer, begin: float) -> None:
        if self._emit is None:
            return
        tails = getattr(optimizer, "tails", {})
        own = [Part(name, tails[at]) for name, at in self._own.items() if at in tails]
        parts = [Part("", seen), *self._parts, *own]
        layers, norms = self._offenders or ([], None)
        tensors = [tensor for part in parts for tensor in part.numbers.values()]
        settings = getattr(optimizer, "settings", None)
        report = Seen(
            step=step,
            time=time.time(),
            parts=parts,
            readout=Readout(tensors if norms is None else [*tensors, norms]),
            layers=layers,
            may_be_scaled=getattr(optimizer, "grad_scale", None) is not None,
            hill=getattr(settings, "estimator", "hill") == "hill",
            overhead_ms=(self._spent + time.perf_counter() - begin) * 1e3,
        )
        self._handed_over += 1
        self._emit(partial(self._report.rows, report))


def _gradients(optimizer: Optimizer) -> dict[int, Tensor]:
    """The gradients that there are, by `id` of their parameter, in order."""
    parameters = (p for group in optimizer.param_groups for p in group["params"])
    return {id(p): p.grad for p in parameters if p.grad is not None}


def _norms(gradients: Sequence[Tensor]) -> Tensor:
    """Norms of the gradients in the order given, float64; not finite where an entry is not."""
    local = [g.to_local() if hasattr(g, "to_local") else g for g in gradients]
    # One kernel for all of them; half precision would overflow in its own type.
    return torch.stack(torch._foreach_norm(local, 2, torch.float32)).double()  # noqa: SLF001
