"""The measurements of an optimizer's parameters that need a closure, and their schedule."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from htga.telemetry.closures.closure_error import ClosureError
from htga.telemetry.closures.gradient_differences import GradientDifferences
from htga.telemetry.closures.noise_numbers import NoiseNumbers
from htga.telemetry.closures.sharpness import Sharpness, sharpness_of
from htga.telemetry.closures.undisturbed import Undisturbed
from htga.telemetry.guard import Guard, WarnOnce
from htga.telemetry.layers import Layers
from htga.telemetry.measure_schedule import Counter, EverySteps
from htga_client.wire.row_encoder import Row
from htga_client.wire.text import shown

Closure = Callable[[], Any]
Emit = Callable[[Callable[[], Sequence[Row]]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseMeasurement:
    """The noise between minibatches at one point of the training.

    Attributes:
        whole: That of the whole gradient.
        layers: That of single layers, by name.
    """

    whole: NoiseNumbers
    layers: Mapping[str, NoiseNumbers]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSchedule:
    """When to measure the noise by itself, as the arguments of `attach` that begin with `noise`.

    Attributes:
        closure: As of `Run.measure_noise`; None to measure only when asked to.
        every: Measure at the first step, and at every so many.
        batches, batch_size: As of `Run.measure_noise`.
    """

    closure: Closure | None = None
    every: int = 500
    batches: int = 16
    batch_size: int | None = None


class ClosureMeasurements:
    """Measures what a closure shows of an optimizer's parameters, and emits it as rows.

    The optimizer is not kept alive.

    Args:
        optimizer: Its parameters are measured.
        emit: Takes a callable that makes rows; None where another rank's are kept.
        counter: Counts the steps of the optimizer, before this is told of them.
        model: Gives the layers their names; its modules are left in the mode that they are in.
        layers: Patterns of the names of layers to measure one by one as well.
        layers_top: Maximum number of layers; of more, the largest are measured.
        rank: Rank of this process.
        sharded: Whether this process holds only a part of each parameter, so that nothing can be
            measured.
        noise: When to measure the noise by itself.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        emit: Emit | None,
        *,
        counter: Counter,
        model: nn.Module | None = None,
        layers: Sequence[str] = (),
        layers_top: int = 50,
        rank: int = 0,
        sharded: bool = False,
        noise: NoiseSchedule | None = None,
    ) -> None:
        self._optimizer = weakref.ref(optimizer)
        self._emit = emit
        self._model = model
        self._counter = counter
        self._rank = rank
        self._sharded = sharded
        self._layers = Layers(optimizer, model, layers, layers_top)
        self._noise = NoiseSchedule() if noise is None else noise
        self._is_busy = False
        self._guard = Guard("a measurement with a closure failed")
        self._warn_once = WarnOnce()
        self._hook: EverySteps | None = None
        if self._noise.closure is not None:
            every = self._noise.every
            self._hook = EverySteps(optimizer, counter, every, self._measure_scheduled)

    def detach(self) -> None:
        """Measure no more by itself."""
        if self._hook is not None:
            self._hook.remove()

    def measure_noise(
        self, closure: Closure | None, batches: int, batch_size: int | None
    ) -> NoiseMeasurement | None:
        """See `Run.measure_noise`."""
        closure = check_closure("closure", self._noise.closure if closure is None else closure)
        batches = check_count("batches", batches, at_least=2)
        if batch_size is not None:
            batch_size = check_count("batch_size", batch_size, at_least=1)
        if (optimizer := self._optimizer()) is None or not self._can_measure():
            return None
        parameters = _trainable(optimizer)
        meter: GradientDifferences | None = None
        with self._kept(parameters) as kept:
            if kept is None:
                return None
            with self._guard:
                kept.draw_anew(self._counter.steps)
            for _ in range(batches):
                kept.clear_gradients()
                _backward(closure, parameters)
                self._check(optimizer, parameters, kept.changed())
                # After a failure of ours the closure is called all the same: on other ranks it may
                # wait for this one.
                with self._guard:
                    if meter is None:
                        places = self._places(optimizer, parameters)
                        meter = GradientDifferences(parameters, places, batches)
                    meter.add([parameter.grad for parameter in parameters])
            self._check(optimizer, parameters, kept.changed(thoroughly=True))
        with self._guard:
            if meter is not None and meter.seen == batches:
                return self._noise_found(meter.numbers(batch_size))
        return None

    @contextmanager
    def _kept(self, parameters: Sequence[Tensor]) -> Iterator[Undisturbed | None]:
        """A block for closures that leaves nothing behind; None if that cannot be promised."""
        with ExitStack() as stack:
            kept = None
            with self._guard:
                kept = stack.enter_context(Undisturbed(parameters, self._model))
            stack.enter_context(torch.enable_grad())
            self._is_busy = True
            try:
                yield kept
            finally:
                self._is_busy = False

    def measure_sharpness(self, closure: Closure, products: int) -> Sharpness | None:
        """See `Run.measure_sharpness`."""
        closure = check_closure("closure", closure)
        products = check_count("products", products, at_least=1)
        if (optimizer := self._optimizer()) is None or not self._can_measure():
            return None
        parameters = _trainable(optimizer)
        with self._kept(parameters) as kept:
            if kept is None:
                return None
            found = sharpness_of(closure, parameters, products)
            self._check_weights(optimizer, parameters, kept.changed(thoroughly=True))
        with self._guard:
            self._send({"": {"sharpness": found.sharpness, "sharpness_error": found.error}})
        return found

    def _noise_found(self, numbers: Mapping[str, NoiseNumbers]) -> NoiseMeasurement:
        self._send({name: found.known for name, found in numbers.items()})
        rest = {name: found for name, found in numbers.items() if name}
        return NoiseMeasurement(whole=numbers[""], layers=rest)

    def _send(self, found: Mapping[str, Mapping[str, float]]) -> None:
        """Emit rows of the last step, by layer."""
        if self._emit is None:
            return
        place = {"step": max(0, self._counter.steps - 1), "time": time.time(), "rank": self._rank}
        rows = [{**place, "layer": name, **numbers} for name, numbers in found.items()]
        self._emit(lambda: rows)

    def _can_measure(self) -> bool:
        if self._sharded:
            self._warn_once(
                "sharded",
                "each process holds a part of the parameters, so what needs a closure is not "
                "measured: neither the noise between minibatches nor the sharpness",
            )
        return not self._sharded and not self._is_busy

    def _check(
        self, optimizer: Optimizer, parameters: Sequence[Tensor], changed: Sequence[int]
    ) -> None:
        """Refuse a closure with which nothing can be measured."""
        self._check_weights(optimizer, parameters, changed)
        if all(p.grad is None for p in parameters):
            raise ClosureError(
                "closure made no gradient: it must compute the loss of one minibatch from the "
                "optimizer's parameters, and return it or call its backward()"
            )

    def _check_weights(
        self, optimizer: Optimizer, parameters: Sequence[Tensor], changed: Sequence[int]
    ) -> None:
        if changed:
            (name,) = self._names(optimizer, [parameters[changed[0]]])
            raise ClosureError(
                f"closure must leave the weights as they are, and it changed {name}"
                f"{_and_others(len(changed) - 1)}: take optimizer.step() and whatever else writes "
                "to parameters out of it; they are as it left them"
            )

    def _places(self, optimizer: Optimizer, parameters: Sequence[Tensor]) -> dict[str, int]:
        """The places of the layers to measure, by name, in `parameters`."""
        places = {id(parameter): place for place, parameter in enumerate(parameters)}
        # Which of them this closure reaches is known only when it has run for the last time.
        chosen = self._layers.chosen(optimizer, lambda parameter: id(parameter) in places)
        return {name: places[id(parameter)] for name, parameter in chosen}

    def _names(self, optimizer: Optimizer, parameters: Sequence[Tensor]) -> list[str]:
        return self._layers.names(optimizer, [id(parameter) for parameter in parameters])

    def _measure_scheduled(self) -> None:
        """Measure the noise where it is due; whatever happens, the training goes on."""
        if not self._is_busy:  # a step that the closure takes
            with self._guard:
                self.measure_noise(None, self._noise.batches, self._noise.batch_size)


def check_closure(name: str, closure: Any) -> Closure:
    """A closure.

    Raises:
        TypeError: It is no callable.
    """
    if not callable(closure):
        raise TypeError(
            f"{name} must be a function without arguments that computes the loss of one minibatch, "
            f"got {shown(closure)}"
        )
    found: Closure = closure
    return found


def check_count(name: str, value: Any, *, at_least: int) -> int:
    """A whole number.

    Raises:
        ValueError: It is not an integer, or too small.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < at_least:
        raise ValueError(f"{name} must be an integer of at least {at_least}, got {shown(value)}")
    return int(value)


def _trainable(optimizer: Optimizer) -> list[Tensor]:
    """The parameters that may get a gradient, in order."""
    parameters = (p for group in optimizer.param_groups for p in group["params"])
    return [parameter for parameter in parameters if parameter.requires_grad]


def _backward(closure: Closure, parameters: Sequence[Tensor]) -> None:
    """Call a closure, and the backward pass of the loss that it returns, if it has not done so."""
    loss = closure()
    is_done = any(parameter.grad is not None for parameter in parameters)
    if not is_done and isinstance(loss, Tensor) and loss.requires_grad:
        loss.backward()


def _and_others(count: int) -> str:
    return f" and {count} more" if count else ""
