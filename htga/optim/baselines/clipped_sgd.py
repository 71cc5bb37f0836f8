"""SGD on a clipped gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

from torch.optim import SGD

from htga.optim.baselines.clipping import (
    clip_coordinates,
    clip_huber_sum,
    clip_l2,
    clip_pseudo_huber,
)
from htga.optim.wrapper import Wrapper

Clipping = Literal["l2", "huber_norm", "huber_coord", "pseudo_huber", "huber_sum"]


class ClippedSGD(Wrapper):
    """torch's SGD, with the gradient of all parameters together clipped before each step.

    Several methods are called clipping by a Huber loss. This does each of them, see
    `htga.optim.baselines.clipping`:

    * "l2", also called "huber_norm": g min(1, c / (||g|| + 1e-6)), as
      `torch.nn.utils.clip_grad_norm_` does;
    * "huber_coord": clamp(g_i, -c, c);
    * "pseudo_huber": g / sqrt(1 + (||g|| / c)**2);
    * "huber_sum": g scaled down until the sum of its coordinates' Huber losses is at most `budget`.

    Clipping rewrites `p.grad`; weight decay comes after it, and momentum gathers what is clipped.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate.
        clip: c, above 0.
        kind: As above.
        budget: Limit of "huber_sum", above 0.
        momentum: As in `torch.optim.SGD`, like all that follow.
        dampening: Dampening of the momentum.
        weight_decay: Added to the clipped gradient.
        nesterov: Whether the momentum is Nesterov's.
        maximize: Ascend instead of descend.

    Raises:
        ValueError: An argument is out of its range.
    """

    clip: float
    kind: Clipping
    budget: float

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        *,
        clip: float = 1.0,
        kind: Clipping = "l2",
        budget: float = 1.0,
        momentum: float = 0.9,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
    ) -> None:
        if kind not in get_args(Clipping):
            raise ValueError(f"kind must be one of {get_args(Clipping)}, got {kind!r}")
        for name, value in (("clip", clip), ("budget", budget)):
            if not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        base = SGD(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )
        super().__init__(base, {"clip": clip, "kind": kind, "budget": budget})

    def _step(self) -> None:
        self._clip()
        self.base.step()

    def _clip(self) -> None:
        grads = [
            parameter.grad
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not grads:
            return
        if self.kind in {"l2", "huber_norm"}:
            clip_l2(grads, self.clip)
        elif self.kind == "huber_coord":
            clip_coordinates(grads, self.clip)
        elif self.kind == "pseudo_huber":
            clip_pseudo_huber(grads, self.clip)
        else:
            clip_huber_sum(grads, self.clip, self.budget)
