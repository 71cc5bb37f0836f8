"""How an optimizer responds to its gradient, found by a trial."""

from __future__ import annotations

import copy
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from htga.optim.missing_attributes import HOOKS, complete

STEPS = 8
"""RAdam is SGD with momentum for its first five."""

FEW_STEPS = 4

ENTRIES = 32
MAX_GROUPS = 8
LEARNING_RATE = 0.01

ROUNDING = 1e-6
"""Of an optimizer that computes in single precision, relative to the largest movement."""

NOTICEABLE = 1e-3
"""Likewise, a change to the movement that is one."""

ONE_SIZE = 0.01
"""Likewise, a difference between the movements of two entries; weight decay makes one of 1e-3."""

Gradient = Callable[[Tensor, int], Tensor]
"""From the numbers of the entries, float64, and the step, to the gradient."""


@dataclass(frozen=True, slots=True)
class Response:
    """What becomes of a change to the gradient.

    Attributes:
        linear: Whether the parameters move in proportion to the gradients, so that a weighted
            gradient is a weighted update.
        sees_weights: Whether the movement depends on positive weights of the gradient's entries.
        sees_scale: Whether it depends on a constant factor on all gradients.
        one_size: Whether all entries move equally far in each step, so that no tail is there.
        needs_closure: Whether `step` fails without a closure only.
    """

    linear: bool = False
    sees_weights: bool = True
    sees_scale: bool = True
    one_size: bool = False
    needs_closure: bool = False


UNKNOWN = Response()
"""Of an optimizer that cannot be tried: nothing is taken for granted."""


def response_of(optimizer: Optimizer) -> Response:
    """Try a copy of an optimizer on a few numbers; the optimizer itself is left alone.

    The copy has the optimizer's settings, no state, and one small tensor for each of the first
    groups, on the device of the group's parameters. An optimizer that cannot be copied or stepped
    so is `UNKNOWN`.
    """
    devices = {p.device for group in optimizer.param_groups for p in group["params"]}
    cuda = [device for device in devices if device.type == "cuda"]
    with torch.random.fork_rng(cuda), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            return Response(linear=True) if _is_linear(optimizer) else _seen(optimizer)
        except Exception:  # noqa: BLE001 (it may be anybody's)
            return Response(needs_closure=_needs_closure(optimizer))


def _is_linear(optimizer: Optimizer) -> bool:
    """Whether the movements by two sequences of gradients add up to that by their sum."""
    # One gradient is large and one is small, to cross whatever limits there are.
    sizes = ((0, 0), (1e3, 0), (0, 1e-3), (1e3, 1e-3))
    paths = [_path(optimizer, partial(_sum, a, b)) for a, b in sizes]
    for still, large, small, both in zip(*paths, strict=True):
        missed = (large + small - still - both).abs().max()
        if not missed <= ROUNDING * (large - still).abs().max() > 0:
            return False
    return True


def _seen(optimizer: Optimizer) -> Response:
    gradients: tuple[Gradient, ...] = (
        lambda i, _: 0 * i,
        _signed,
        lambda i, t: _signed(i, t) * (1.5 + torch.sin(2.3 * i + 1.1 * t)),
        lambda i, t: 3 * _signed(i, t),
        _mixed,
    )
    still, plain, weighted, scaled, mixed = (
        torch.stack([*islice(_path(optimizer, gradient), FEW_STEPS)]) for gradient in gradients
    )
    least = NOTICEABLE * (plain - still).abs().max()
    sizes = (mixed - still).diff(dim=0).abs()
    return Response(
        sees_weights=bool((weighted - plain).abs().max() > least),
        sees_scale=bool((scaled - plain).abs().max() > least),
        one_size=bool((sizes.amax(1) - sizes.amin(1) <= ONE_SIZE * sizes.amax(1)).all()),
    )


def _sum(a: float, b: float, i: Tensor, step: int) -> Tensor:
    return a * _signed(i, step) + b * _mixed(i, step)


def _signed(i: Tensor, step: int) -> Tensor:
    """Entries of many sizes, each of which keeps its sign over the steps."""
    return torch.where(i % 3 == 0, -1, 1) * torch.exp(2 * torch.sin(1.7 * i + 2.9 * step))


def _mixed(i: Tensor, step: int) -> Tensor:
    """Entries of many sizes that change their sign."""
    return torch.cos(0.7 * i + 2.1 * step) * torch.exp(2 * torch.sin(3.1 * i + 1.3 * step))


def _path(optimizer: Optimizer, gradient: Gradient) -> Iterator[Tensor]:
    """Where the parameters of a copy are after each step, float64 [entries]."""
    twin, parameters = _twin(optimizer)
    for step in range(STEPS):
        _give(parameters, gradient, step)
        _step(twin)
        yield torch.cat([p.detach().double().reshape(-1) for p in parameters])


def _needs_closure(optimizer: Optimizer) -> bool:
    def steps(*closure: Callable[[], Any]) -> bool:
        try:
            twin, parameters = _twin(optimizer)
            _give(parameters, _signed, 0)
            _step(twin, *closure)
        except Exception:  # noqa: BLE001 (that is the question)
            return False
        return True

    return not steps() and steps(lambda: torch.zeros(()))


def _give(parameters: list[Tensor], gradient: Gradient, step: int) -> None:
    for number, parameter in enumerate(parameters):
        i = torch.arange(parameter.numel(), dtype=torch.float64, device=parameter.device)
        parameter.grad = gradient(i + ENTRIES * number, step).view(parameter.shape)


def _step(twin: Optimizer, *closure: Callable[[], Any]) -> None:
    step: Any = type(twin).step
    # Hooks that were registered for all optimizers count steps; this is none.
    step = step.__wrapped__ if getattr(step, "hooked", False) else step
    step(twin, *closure)


def _twin(optimizer: Optimizer) -> tuple[Optimizer, list[Tensor]]:
    """A copy with small parameters in place of the optimizer's own, and no state."""
    memo: dict[int, Any] = {id(each.state): defaultdict(dict) for each in _with_inner(optimizer)}
    for group in optimizer.param_groups:
        memo |= {id(parameter): _small(parameter) for parameter in group["params"]}
    kept = {name: value for name, value in vars(optimizer).items() if name not in {"step", *HOOKS}}
    twin = object.__new__(type(optimizer))
    vars(twin).update(copy.deepcopy(kept, memo))
    complete(twin)
    del twin.param_groups[MAX_GROUPS:]
    for group in twin.param_groups:
        group["params"][:] = group["params"][:1] or [_small(torch.ones(1, device="cpu"))]
        if isinstance(rate := group.get("lr"), Tensor):
            rate.fill_(LEARNING_RATE)
        elif rate is not None:
            group["lr"] = LEARNING_RATE
    train = getattr(twin, "train", None)
    if callable(train):  # a schedule-free optimizer steps in this mode alone
        train()
    return twin, [group["params"][0] for group in twin.param_groups]


def _with_inner(optimizer: Optimizer) -> Iterator[Optimizer]:
    """The optimizer, and those that it keeps as attributes."""
    yield optimizer
    for value in vars(optimizer).values():
        if isinstance(value, Optimizer):
            yield from _with_inner(value)


def _small(parameter: Tensor) -> Tensor:
    """A tensor with as many dimensions, a few entries about 1, and gradients of its own."""
    n_dims = parameter.dim()
    last = ENTRIES if n_dims == 1 else 8
    shape = [4 if i == n_dims - 2 else last if i == n_dims - 1 else 1 for i in range(n_dims)]
    device = "cpu" if parameter.device.type == "meta" else parameter.device
    small = torch.ones(shape, dtype=torch.float64, device=device)
    small.view(-1)[::2] = -1
    return small.requires_grad_(parameter.requires_grad)
