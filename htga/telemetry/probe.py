"""Measurement of the gradient at every step of an optimizer."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from htga.optim.initialization_step import is_initialization
from htga.tail import draw_sample, measure
from htga.tail.measure import measure_each
from htga.telemetry.guard import Guard
from htga.telemetry.layers import Layers
from htga.telemetry.measure_schedule import MeasureSchedule
from htga.telemetry.readout import Readout
from htga.telemetry.row_builder import LayerMeasurement, RowBuilder, StepMeasurement
from htga.telemetry.sharded import AnyMeasurement, measure_sharded
from htga.telemetry.updates.learning_rates import MAX_RATES, group_of, learning_rates
from htga.telemetry.updates.paired_entries import real_view
from htga.telemetry.updates.update_measurement import UpdateMeasurement
from htga.telemetry.updates.update_probe import UpdateProbe
from htga_client.wire import Scope
from htga_client.wire.row_encoder import Row

SAMPLE = 2**16
"""Number of non-zero entries of which 1 % give the tail index to 4 %; they cost little."""

LAYER_SAMPLE = 2**15
"""The same for a layer, to 6 %."""

UPDATES_EVERY = 20
"""Number of measured steps from one measured update to the next; one costs as much as five
measurements of the gradient."""

MAX_WAITING = 64
"""Maximum number of samples that wait for the sender's thread, a quarter of a MiB each."""


class Probe:
    """Measures the gradients of an optimizer and emits rows for each of its steps.

    It measures the gradient that the optimizer applies: accumulated, unscaled and clipped. When
        that
    is in `p.grad` depends on the optimizer:

    * Normally before the step. After it several optimizers have overwritten the gradient (SGD with
      Nesterov momentum, Adamax and others in their `foreach` form).
    * After the closure's first evaluation, for a step with a closure: before it, the gradient is
      the last step's.
    * After the step, for a fused optimizer under GradScaler: it unscales within the step, and
      writes the result back.

    An optimizer that controls a tail, as HTGA does, has an attribute `tail`, which is read after
    the step. Its raw gradient is measured like any other's, before it is amplified.

    A step by which `torch.distributed.checkpoint` only makes the optimizer's state is none.

    No row is made on the training thread, and nothing here waits for the device.

    Args:
        optimizer: Any torch optimizer.
        emit: Takes a callable that makes the rows, to be called in order on another thread; None
            to take part in a measurement of all processes and emit nothing.
        model: Gives the layers their names.
        first_step: Number of the first step.
        every: Measure every so many steps.
        budget: Share of the training time that measuring may take; beyond it, fewer steps are
            measured. None for no limit.
        layers: Patterns of the names of layers to measure one by one as well.
        layers_every: Measure the layers at every so many of the measured steps.
        layers_top: Maximum number of layers; of more, the largest are measured.
        histograms: Whether rows carry the histogram.
        rank: Rank of this process.
        sharded: Whether this process holds only a part of each parameter. Then all processes
            measure the whole gradient together, at the same steps whatever the budget, and no
            layers.
        sample: On a CPU, measure about this many entries of a larger gradient, different ones at
            each step; None for all, as always on a GPU. See `htga.tail.measure`.
        updates_every: Measure what the step changes at every so many of the measured steps, and
            with the layers; 0 for never.
        tails: Those of "update" and "weight" whose tail index is measured then.

    Attributes:
        steps: Number of the next step. A run moves it on where it counts steps by itself.
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
        updates_every: int = UPDATES_EVERY,
        tails: Sequence[str] = (),
    ) -> None:
        self.steps = first_step
        self._taken = 0  # by this alone all processes agree which steps are measured
        self._emit = emit
        self._sample = sample
        self._sharded = sharded
        self._schedule = MeasureSchedule(every=every, budget=None if sharded else budget)
        self._builder = RowBuilder(histograms=histograms, rank=rank)
        self._guard = Guard("a step could not be measured")
        self._layers = Layers(optimizer, model, () if sharded else layers, layers_top)
        self._layers_every = layers_every
        self._updates = UpdateProbe(tails=tails, sharded=sharded)
        self._updates_every = updates_every
        self._differing: set[int] = set()  # groups that have had another rate than the first
        self._measured: list[nn.Parameter] = []  # the parameters of the layers
        self._control_scope = _control_scope(optimizer)
        self._measurements = 0
        self._handed_over = 0
        self._seen: AnyMeasurement | None = None
        self._n_total = 0
        self._was_measured = False
        self._is_no_step = False
        self._changed: Mapping[str, UpdateMeasurement] = {}
        self._parts: list[LayerMeasurement] = []
        self._own: dict[str, int] = {}  # layers that the optimizer measures, and their `tails`
        self._offenders: tuple[list[str], Tensor] | None = None
        self._spent = 0.0  # seconds of this step
        self._left_at = 0.0
        self._hooks = [
            optimizer.register_step_pre_hook(_Hook(self._before)),
            optimizer.register_step_post_hook(_Hook(self._after)),
        ]

    def detach(self) -> None:
        """Stop measuring."""
        for hook in self._hooks:
            hook.remove()
        self._layers.forget()
        self._updates.forget()

    def _before(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        self._seen, self._was_measured, self._spent = None, False, 0.0
        self._changed = {}
        self._updates.forget()
        self._parts, self._measured, self._own, self._offenders = [], [], {}, None
        with self._guard:
            self._is_no_step = is_initialization(optimizer)
        if self._is_no_step or not self._schedule.is_due(self._taken):
            return None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if callable(closure):
            watched = partial(self._evaluate, optimizer, closure)
            if len(args) > 1:
                return (args[0], watched, *args[2:]), kwargs
            return args, kwargs | {"closure": watched}
        if getattr(optimizer, "grad_scale", None) is None:
            self._measure(optimizer)
        else:
            with self._guard:
                begin = time.perf_counter()
                self._begin_update(optimizer)
                self._spent += time.perf_counter() - begin
        return None

    def _evaluate(self, optimizer: Optimizer, closure: Callable[[], Any]) -> Any:
        loss = closure()
        if not self._was_measured:
            self._measure(optimizer)
        return loss

    def _after(self, optimizer: Optimizer, _: tuple[Any, ...], __: dict[str, Any]) -> None:
        if self._is_no_step:
            return
        step, taken = self.steps, self._taken
        self.steps += 1
        self._taken += 1
        if self._schedule.is_due(taken):
            is_late = not self._was_measured
            if is_late:
                self._measure(optimizer, is_late=True)
            with self._guard:
                begin = time.perf_counter()
                self._changed = self._updates.end(self._measure_tail, anew=is_late)
                if self._seen is not None:  # A step without any gradient measures nothing.
                    self._hand_over(step, self._seen, optimizer, begin)
                self._spent += time.perf_counter() - begin
                self._schedule.measured(taken, self._spent)
        now = time.perf_counter()
        if self._left_at:
            self._schedule.passed(now - self._left_at - self._spent)
        self._left_at = now

    @torch.no_grad()
    def _measure(self, optimizer: Optimizer, *, is_late: bool = False) -> None:
        self._was_measured = True
        with self._guard:
            begin = time.perf_counter()
            gradients = _gradients(optimizer)
            if gradients:
                on_cpu = next(iter(gradients.values())).device.type == "cpu"
                sample = self._sample if on_cpu else None
                self._n_total = sum(gradient.numel() for gradient in gradients.values())
                is_layered = self._measurements % self._layers_every == 0
                layers = self._layers.chosen(optimizer) if is_layered else []
                alone = {id(parameter): name for name, parameter in layers}
                found: dict[int, AnyMeasurement] = {}
                if alone and sample is None and not self._sharded:
                    self._seen, found = _measure_each(gradients, alone)
                else:
                    self._seen = self._measure_or_draw(list(gradients.values()), sample, self.steps)
                if not on_cpu or self._seen.n_nonfinite:  # on a CPU, reading it costs no wait
                    self._offenders = self._layer_norms(optimizer)
                if not is_late:
                    self._begin_update(optimizer)
                self._parts = self._measure_layers(optimizer, layers, found, on_cpu)
                self._measurements += 1
            self._spent += time.perf_counter() - begin

    def _begin_update(self, optimizer: Optimizer) -> None:
        """Keep the weights before the step, if its update is to be measured."""
        number = self._measurements
        if not self._updates_every:
            return
        layers = [] if number % self._layers_every else self._layers.chosen(optimizer)
        if layers or number % self._updates_every == 0:
            copies = self._builder.has_seen_other_gradient
            self._updates.begin(optimizer, layers, copies=copies)

    def _layer_norms(self, optimizer: Optimizer) -> tuple[list[str], Tensor]:
        """The names of all layers and the norms of their gradients."""
        gradients = _gradients(optimizer)
        names = self._layers.names(optimizer, gradients)
        return names, _norms(list(gradients.values()))

    def _measure_or_draw(
        self, gradients: Sequence[Tensor], sample: int | None, seed: int
    ) -> AnyMeasurement:
        """Measure gradients, or draw a sample that the sender's thread measures."""
        if self._sharded:
            return measure_sharded(gradients)
        if sample is None:
            return measure(gradients)
        if self._handed_over - self._builder.made > MAX_WAITING:
            return measure(gradients, sample=sample, seed=seed)
        return draw_sample(gradients, sample, seed)

    def _measure_tail(self, tensors: Sequence[Tensor], is_layer: bool) -> AnyMeasurement:
        """Measure the tail of an update or of weights, or draw a sample of it."""
        sample = LAYER_SAMPLE if is_layer and self._sample else self._sample
        sample = sample if tensors[0].device.type == "cpu" else None
        return self._measure_or_draw(tensors, sample, self.steps)

    def _measure_layers(
        self,
        optimizer: Optimizer,
        layers: Sequence[tuple[str, nn.Parameter]],
        found: Mapping[int, AnyMeasurement],
        on_cpu: bool,
    ) -> list[LayerMeasurement]:
        """Measure the layers that have a gradient, unless they are measured already."""
        sample = LAYER_SAMPLE if on_cpu and self._sample else None
        alone = getattr(optimizer, "alone", {})
        parts = []
        for name, parameter in layers:
            if (gradient := parameter.grad) is None:
                continue
            entries = real_view(gradient)
            seen = found.get(id(parameter)) or self._measure_or_draw(
                [entries], sample, self._measurements
            )
            parts.append(LayerMeasurement(name, seen, entries.numel()))
            self._measured.append(parameter)
            if id(parameter) in alone:
                self._own[name] = alone[id(parameter)]
        return parts

    def _hand_over(
        self, step: int, seen: AnyMeasurement, optimizer: Optimizer, begin: float
    ) -> None:
        if self._emit is None:
            return
        tails = getattr(optimizer, "tails", {})
        rates = learning_rates(optimizer)
        groups = group_of(optimizer) if self._parts else {}
        layers = [
            replace(
                x,
                control=tails.get(self._own.get(x.layer)),
                update=self._changed.get(x.layer),
                rate=rates[groups[id(parameter)]],
            )
            for x, parameter in zip(self._parts, self._measured, strict=True)
        ]
        control = getattr(optimizer, "tail", None)
        whole = LayerMeasurement("", seen, self._n_total, control, self._changed.get(""), rates[0])
        parts = [whole, *layers]
        names, norms = self._offenders or ([], None)
        tensors = [tensor for part in parts for tensor in part.tensors]
        measured = StepMeasurement(
            step=step,
            time=time.time(),
            parts=parts,
            readout=Readout(tensors if norms is None else [*tensors, norms]),
            layers=names,
            may_be_scaled=getattr(optimizer, "grad_scale", None) is not None,
            control_scope=self._control_scope,
            rates=self._further_rates(rates),
            overhead_ms=(self._spent + time.perf_counter() - begin) * 1e3,
        )
        self._handed_over += 1
        self._emit(partial(self._builder.rows, measured))

    def _further_rates(self, rates: Sequence[float | Tensor | None]) -> dict[str, float]:
        """The learning rates of the groups that have ever had another than the first."""
        shown = {n: x for n, x in enumerate(rates[:MAX_RATES]) if isinstance(x, float)}
        self._differing |= {number for number, rate in shown.items() if rate != shown.get(0, rate)}
        return {f"lr/{n}": shown[n] for n in sorted(self._differing & shown.keys())}


class _Hook:
    """Calls a method at an optimizer's step; the hook of a copied or unpickled optimizer does not.

    Most optimizers leave their hooks behind when they are copied. Those that keep their whole
    `__dict__` would take along the probe, and with it the sender.
    """

    def __init__(self, method: Callable[..., Any] | None = None) -> None:
        self._method = method

    def __call__(self, *arguments: Any) -> Any:
        return None if self._method is None else self._method(*arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Hook, ()


def _control_scope(optimizer: Optimizer) -> Scope | None:
    """What an optimizer that controls a tail controls as one sample."""
    settings = getattr(optimizer, "settings", None)
    scope = getattr(settings, "scope", None)
    if scope is None:
        return None
    before = "UPDATE_" if getattr(settings, "apply", "grad") == "update" else ""
    return Scope[before + scope.upper()]


def _gradients(optimizer: Optimizer) -> dict[int, Tensor]:
    """The gradients by `id` of their parameter, in order, of the parameters that have one."""
    parameters = (p for group in optimizer.param_groups for p in group["params"])
    return {id(p): real_view(p.grad) for p in parameters if p.grad is not None}


def _measure_each(
    gradients: Mapping[int, Tensor], alone: Collection[int]
) -> tuple[AnyMeasurement, dict[int, AnyMeasurement]]:
    """Measure all gradients as one sample, and those of some parameters by themselves."""
    places = {owner: place for place, owner in enumerate(gradients) if owner in alone}
    whole, own = measure_each(list(gradients.values()), list(places.values()))
    return whole, dict(zip(places, own, strict=True))


def _norms(gradients: Sequence[Tensor]) -> Tensor:
    """Norms of the gradients in order, float64; not finite if an entry is not."""
    local = [g.to_local() if hasattr(g, "to_local") else g for g in gradients]
    # One kernel for all of them; half precision would overflow in its own type.
    return torch.stack(torch._foreach_norm(local, 2, torch.float32)).double()  # noqa: SLF001
