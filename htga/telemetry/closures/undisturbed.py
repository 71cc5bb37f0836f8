"""A block after which a training is as it was before, whatever forward and backward passes did."""

from __future__ import annotations

import random
import warnings
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parameter import is_lazy

from htga.tail.flat_tensors import widened
from htga.telemetry.guard import Guard


class Undisturbed:
    """Puts back what a closure changes: gradients, buffers, modes, and the state of randomness.

    That is, of the given parameters, of every module of the model, and of each other module that
    runs inside the block: `grad`, `requires_grad`, the buffers (such as the statistics of batch
    normalisation, which keep their memory) and `training`; and the generators of Python, NumPy and
    PyTorch, the latter's on the CPU and on the parameters' devices. The weights are not copied: see
    `changed`. All is put back when the block is left by an exception, too.

    Gradients that lie in memory of something else, as in the buckets of `DistributedDataParallel`,
    are copied; all others are set aside as they are.

    Args:
        parameters: Those of the optimizer.
        model: Its modules' modes are known before the closure changes them; may be None.
    """

    def __init__(self, parameters: Sequence[Tensor], model: nn.Module | None = None) -> None:
        self._given = parameters
        self._model = model
        self._gradients: dict[int, _Gradient] = {}
        self._modules: dict[int, _Module] = {}
        self._generators: list[Callable[[], None]] = []
        self._guard = Guard("the buffers of a module could not be kept")
        self._hook: Any = None
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self._put_back()
            raise
        return self

    def _begin(self) -> None:
        for parameter in self._given:
            self._keep(parameter)
        if self._model is not None:
            self._visit(self._model)
        self._generators = _generators(self._given)
        self._versions = [_version(parameter) for parameter in self._given]
        self._fingerprints = _fingerprints(self._given)
        self._warnings.__enter__()
        # A compiled module warns of a hook for all modules, which is no concern of this one.
        warnings.filterwarnings("ignore", message=".*global hooks on modules")
        self._hook = register_module_forward_pre_hook(lambda module, _: self._visit(module))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hook.remove()
        self._warnings.__exit__(None, None, None)
        self._put_back()

    def _put_back(self) -> None:
        kept: list[_Gradient | _Module] = [*self._gradients.values(), *self._modules.values()]
        for each in kept:
            with self._guard:  # whatever happens to one, the others are put back
                each.restore()
        for restore in self._generators:
            restore()

    def changed(self, *, thoroughly: bool = False) -> list[int]:
        """The places of the given parameters whose values have changed since the block began.

        Args:
            thoroughly: Whether to read the values, instead of only the version that PyTorch counts,
                which some ways to write (`.data`) avoid.
        """
        versions = [_version(parameter) for parameter in self._given]
        known = zip(versions, self._versions, strict=True)
        places = {place for place, (now, before) in enumerate(known) if now != before}
        if thoroughly and self._given:
            same = torch.isclose(
                _fingerprints(self._given), self._fingerprints, rtol=0, atol=0, equal_nan=True
            )
            places |= set((~same.all(dim=1)).nonzero().flatten().tolist())
        return sorted(places)

    def clear_gradients(self) -> None:
        """Give the next backward pass a fresh start."""
        for kept in self._gradients.values():
            kept.parameter.grad = None

    def draw_anew(self, number: int) -> None:
        """Begin other random numbers than those that come after the block.

        Or else a closure would draw the same minibatches whenever nothing has drawn in between.
        They depend on the state that each process had, so that ranks stay different, and on a
        number.
        """
        state = torch.get_rng_state().numpy().tobytes() + number.to_bytes(8, "big")
        seed = zlib.crc32(state)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  a training may draw from it
        torch.default_generator.manual_seed(seed)
        for device in {parameter.device for parameter in self._given}:
            if device.type == "cuda":
                torch.cuda.default_generators[device.index].manual_seed(seed)

    def _keep(self, parameter: Tensor) -> None:
        if id(parameter) not in self._gradients:
            self._gradients[id(parameter)] = _Gradient(parameter)

    def _visit(self, root: nn.Module) -> None:
        if id(root) in self._modules:
            return
        with self._guard:
            for module in root.modules():  # inside a compiled one none is announced
                if id(module) not in self._modules:
                    self._modules[id(module)] = _Module(module)
                    for parameter in module.parameters(recurse=False):
                        self._keep(parameter)


class _Gradient:
    """A parameter's gradient, which is taken from it, and whether it asks for one."""

    def __init__(self, parameter: Tensor) -> None:
        self.parameter = parameter
        self._grad = parameter.grad
        self._requires_grad = parameter.requires_grad
        self._lent = None if self._grad is None or not _is_lent(self._grad) else self._grad.clone()
        parameter.grad = None  # or else a backward pass would add to it in place

    def restore(self) -> None:
        if self._lent is not None and self._grad is not None:
            self._grad.copy_(self._lent)
        self.parameter.grad = self._grad
        if self.parameter.requires_grad != self._requires_grad:
            self.parameter.requires_grad_(self._requires_grad)


class _Module:
    """A module's mode and its own buffers."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._training = module.training
        self._buffers = dict(module._buffers)  # noqa: SLF001  the only place that has them all
        self._values = {
            name: (buffer, buffer.clone(), _version(buffer))
            for name, buffer in self._buffers.items()
            if buffer is not None and not is_lazy(buffer)
        }

    @torch.no_grad()
    def restore(self) -> None:
        self._module.training = self._training
        now = self._module._buffers  # noqa: SLF001
        if [*map(id, now.values())] != [*map(id, self._buffers.values())]:
            now.clear()
            now.update(self._buffers)
        for buffer, value, version in self._values.values():
            # A graph that was built before the block may need the buffer in this version.
            if _version(buffer) != version or not torch.equal(buffer, value):
                buffer.copy_(value)


def _generators(tensors: Sequence[Tensor]) -> list[Callable[[], None]]:
    """Calls that put the random generators back to where they are now."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    found: list[Callable[[], None]] = [
        lambda: random.setstate(python),
        lambda: np.random.set_state(numpy),  # noqa: NPY002  a training may draw from it
        lambda: torch.set_rng_state(cpu),
    ]
    for device in {tensor.device for tensor in tensors} - {torch.device("cpu")}:
        of_kind: Any = getattr(torch, device.type, None)
        with suppress(AttributeError):  # a device without randomness, such as "meta"
            found.append(partial(of_kind.set_rng_state, of_kind.get_rng_state(device), device))
    return found


def _is_lent(gradient: Tensor) -> bool:
    """Whether a gradient is a part of other memory, into which the next backward pass may write."""
    if gradient.layout != torch.strided:
        return False
    whole = gradient.untyped_storage().nbytes() > gradient.numel() * gradient.element_size()
    return gradient._is_view() or whole  # noqa: SLF001  no public name


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version  # noqa: SLF001  no public name


def _fingerprints(parameters: Sequence[Tensor]) -> Tensor:
    """Two numbers of each parameter that other values would hardly have, float64 [P, 2]."""
    found = []
    with torch.no_grad():
        for parameter in parameters:
            values = parameter.detach()
            values = torch.view_as_real(values) if values.is_complex() else values
            wide = values.reshape(-1).to(widened(values.dtype))
            found.append(torch.stack([torch.linalg.vector_norm(wide), wide.sum()]).double())
        device = found[0].device if found else torch.device("cpu")
        return torch.stack([x.to(device) for x in found]) if found else torch.empty(0, 2)
