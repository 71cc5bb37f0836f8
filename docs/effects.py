"""Print which optimizers HTGA can wrap, and with which effect: the table in docs/optimizer.md.

    python docs/effects.py

Every optimizer of `torch.optim`, the baselines, and shapes that other packages have take the same
steps, on gradients with a tail index of 1.5, bare and inside HTGA. What is shown is measured:
how far the parameters end from where the bare optimizer brings them, relative to how far that is
from where they began.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from htga.optim import HTGA, NSGD, BiClip, ClippedSGD
from tests.htga.distributions import student_t
from tests.htga.optim.third_party import SAM, SHAPES

STEPS = 7
SHAPE = (30, 40)
NO_EFFECT = 0.005
Make = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Effect:
    """One row of the table.

    Attributes:
        name: Of the optimizer.
        auto: What `apply="auto"` becomes; or why HTGA does not wrap it.
        by_grad: Relative distance from the bare optimizer's path with `apply="grad"`.
        by_gamma: The same of a gamma of 2 alone.
        by_update: The same with `apply="update"`.
        update_alpha: Tail index of the last update with `apply="auto"`, as HTGA tells it.
        moved_alpha: The same, measured on the parameters.
    """

    name: str
    auto: str
    by_grad: float | None = None
    by_gamma: float | None = None
    by_update: float | None = None
    update_alpha: float | None = None
    moved_alpha: float | None = None

    def __str__(self) -> str:
        def shown(share: float | None) -> str:
            if share is None:
                return ""
            return "none" if share < NO_EFFECT else f"{share:.2f}"

        def index(alpha: float | None) -> str:
            if alpha is None:
                return ""
            return "no tail" if math.isnan(alpha) else f"{alpha:.2f}"

        shares = map(shown, (self.by_grad, self.by_gamma, self.by_update))
        cells = [self.name, self.auto, *shares, index(self.update_alpha), index(self.moved_alpha)]
        return f"| {' | '.join(cells)} |"


def optimizers() -> Iterator[tuple[str, Make]]:
    """Names, and how to make an optimizer of some parameters."""
    for name, kind in sorted(vars(torch.optim).items()):
        if inspect.isclass(kind) and issubclass(kind, Optimizer) and kind is not Optimizer:
            yield name, lambda p, kind=kind: kind(p, lr=0.01)
    yield "SGD, momentum", lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)
    yield "NSGD", lambda p: NSGD(p, lr=0.01)
    yield "BiClip", lambda p: BiClip(p, lr=0.01)
    yield "ClippedSGD", lambda p: ClippedSGD(p, lr=0.01)
    for name, make in SHAPES.items():
        yield name, make
    yield "SAM", lambda p: SAM(p, lambda groups: torch.optim.SGD(groups, lr=0.01))


def path(optimizer: Any, parameter: Tensor) -> list[Tensor]:
    """Where the parameter is before and after each step."""
    if hasattr(optimizer, "train"):
        optimizer.train()
    places = [parameter.detach().clone()]
    for step in range(STEPS):
        gradient = student_t(1.5, parameter.numel(), seed=step).view(SHAPE)
        is_sparse = "SparseAdam" in repr(type(getattr(optimizer, "base", optimizer)))
        parameter.grad = gradient.to_sparse(1) if is_sparse else gradient
        optimizer.step()
        places.append(parameter.detach().clone())
    return places


def fresh() -> Tensor:
    """A parameter at its start."""
    return torch.ones(SHAPE, dtype=torch.float64)


def effect(name: str, make: Make) -> Effect:
    """Measure one optimizer."""
    parameter = fresh()
    try:
        HTGA(make([parameter]))
    except TypeError:
        return Effect(name, "refused")
    plain = path(make([parameter]), parameter)
    size = (plain[-1] - plain[0]).norm()

    def distance(**settings: Any) -> tuple[float, HTGA, list[Tensor]]:
        parameter = fresh()
        optimizer = HTGA(
            make([parameter]), preset="amplify", target_alpha=1.3, scope="global", **settings
        )
        places = path(optimizer, parameter)
        return float((places[-1] - plain[-1]).norm() / size), optimizer, places

    runs = {apply: distance(apply=apply) for apply in ("grad", "update")}
    auto = HTGA(make([fresh()])).settings.apply
    _, optimizer, places = runs[auto]
    told = None if optimizer.tail is None else optimizer.tail.update_alpha
    moved = HTGA(torch.optim.SGD([fresh()], lr=0.0), actuator="none", scope="global")
    moved.param_groups[0]["params"][0].grad = places[-1] - places[-2]
    moved.step()
    return Effect(
        name,
        auto,
        runs["grad"][0],
        distance(apply="grad", actuator="none", fixed_gamma=2.0)[0],
        runs["update"][0],
        None if told is None else float(told),
        None if moved.tail is None else float(moved.tail.control_alpha),
    )


def effects() -> list[Effect]:
    """All rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [effect(name, make) for name, make in optimizers()]


HEAD = """\
| optimizer | `apply="auto"` | weights, by `grad` | gamma = 2, by `grad` | by `update` \
| `update_alpha` | of the step |
|---|---|---|---|---|---|---|"""


if __name__ == "__main__":
    print(HEAD)
    for row in effects():
        print(row)
