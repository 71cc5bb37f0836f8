"""TailOPT: clipping from below and from above, within a round and between rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, Literal, get_args

from torch import Tensor
from torch.optim import Optimizer

from htga.optim.baselines.clipping import bi_clip_coordinates, bi_clip_l2
from htga.optim.wrapper import ClosureOptimizer, Wrapper
from htga.tail.flat_tensors import values

Mode = Literal["coordinate", "l2"]


class BiClip(ClosureOptimizer):
    """theta -= lr_t BiClip(g), of Lee, Zaheer and Li (ICML 2025, arXiv 2502.04164).

    BiClip enlarges small gradients and shrinks large ones:

    * "coordinate": sign(g_i) clamp(|g_i|, lower_t, upper_t);
    * "l2": g clamp(||g||, lower_t, upper_t) / ||g|| with the norm of the parameter group.

    Zero stays zero. lr_t = lr t**lr_power, and the bounds likewise, where t counts rounds from 1;
    call `next_round` at the end of each, or leave the powers at 0. The default bounds are the
    authors', which enlarge every small gradient to norm 1: tune both on a logarithmic grid.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate of the first round.
        lower: Lower bound, at least 0.
        upper: Upper bound, at least `lower`.
        mode: As above.
        lr_power: Exponent of t in the learning rate.
        lower_power: Exponent in the lower bound.
        upper_power: Exponent in the upper bound.
        weight_decay: Decoupled: theta *= 1 - lr_t * weight_decay after the step.
        maximize: Ascend instead of descend.

    Raises:
        ValueError: An argument is out of its range, or the bounds have crossed in a round.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        lower: float = 1.0,
        upper: float = inf,
        mode: Mode = "l2",
        lr_power: float = 0.0,
        lower_power: float = 0.0,
        upper_power: float = 0.0,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        if lr < 0:
            raise ValueError(f"lr must be at least 0, got {lr}")
        check_bounds(lower, upper, mode)
        super().__init__(
            params,
            {
                "lr": lr,
                "lower": lower,
                "upper": upper,
                "mode": mode,
                "lr_power": lr_power,
                "lower_power": lower_power,
                "upper_power": upper_power,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "round": 1,
            },
        )

    def next_round(self) -> None:
        """Begin the next round, on which learning rate and bounds may depend."""
        for group in self.param_groups:
            group["round"] += 1

    def _step(self) -> None:
        for group in self.param_groups:
            self._step_group(group)

    def _step_group(self, group: dict[str, Any]) -> None:
        moved = [parameter for parameter in group["params"] if parameter.grad is not None]
        if not moved:
            return
        t = group["round"]
        lower, upper = (group[bound] * t ** group[f"{bound}_power"] for bound in ("lower", "upper"))
        directions = [parameter.grad.to_dense().clone() for parameter in moved]
        bi_clip(directions, lower, upper, group["mode"])
        lr = group["lr"] * t ** group["lr_power"]
        sign = 1 if group["maximize"] else -1
        for parameter, direction in zip(moved, directions, strict=True):
            parameter.add_(direction, alpha=sign * lr)
            parameter.mul_(1 - lr * group["weight_decay"])


class Bi2Clip(Wrapper):
    """BiClip between rounds around any optimizer, usually `BiClip`, within them.

    After `every` steps of the inner optimizer, Delta is how far the parameters have moved since the
    round began, averaged over all nodes where there are several, and the parameters become
    start + lr BiClip(Delta), from which the next round starts.

    Args:
        base: The inner optimizer; if it is a `BiClip`, its rounds are counted.
        every: Inner steps in a round.
        lr: Outer learning rate.
        lower: Lower bound on Delta, at least 0.
        upper: Upper bound on Delta, at least `lower`.
        mode: "coordinate", or "l2" with the norm over all parameters.
        average: Brings a list of tensors to their mean over the nodes, in place; None for one node.

    Raises:
        ValueError: An argument is out of its range.
    """

    every: int
    lr: float
    lower: float
    upper: float
    mode: Mode
    average: Callable[[list[Tensor]], None] | None
    _steps: int
    _start: list[Tensor]

    def __init__(
        self,
        base: Optimizer,
        *,
        every: int,
        lr: float = 1.0,
        lower: float = 0.0,
        upper: float = inf,
        mode: Mode = "l2",
        average: Callable[[list[Tensor]], None] | None = None,
    ) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        check_bounds(lower, upper, mode)
        super().__init__(
            base,
            {
                "every": every,
                "lr": lr,
                "lower": lower,
                "upper": upper,
                "mode": mode,
                "average": average,
                "_steps": 0,
                "_start": [],
            },
        )
        self._start = [place.clone() for place in self._places()]

    def _step(self) -> None:
        self.base.step()
        self._steps += 1
        if self._steps % self.every == 0:
            self._end_round()

    def _end_round(self) -> None:
        places = self._places()
        self._start += [place.clone() for place in places[len(self._start) :]]
        delta = [place - start for place, start in zip(places, self._start, strict=True)]
        if self.average is not None:
            self.average(delta)
        bi_clip(delta, self.lower, self.upper, self.mode)
        for place, start, way in zip(places, self._start, delta, strict=True):
            start.add_(way, alpha=self.lr)
            place.copy_(start)
        if isinstance(self.base, BiClip):
            self.base.next_round()

    def _places(self) -> list[Tensor]:
        return [values(p) for group in self.param_groups for p in group["params"]]

    def own_state(self) -> dict[str, Any]:
        """Number of steps taken, and the parameters at the beginning of the round."""
        return {"steps": self._steps, "start": [start.clone() for start in self._start]}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Restore what `own_state` returned."""
        self._steps = state["steps"]
        self._start = [
            start.to(place.device, copy=True)
            for start, place in zip(state["start"], self._places(), strict=True)
        ]


def bi_clip(tensors: Sequence[Tensor], lower: float, upper: float, mode: Mode) -> None:
    """Clip from below and above, in place.

    Raises:
        ValueError: The bounds are not in order.
    """
    check_bounds(lower, upper, mode)
    (bi_clip_coordinates if mode == "coordinate" else bi_clip_l2)(tensors, lower, upper)


def check_bounds(lower: float, upper: float, mode: str) -> None:
    """Raise ValueError if the bounds or the mode are not those of a BiClip."""
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be one of {get_args(Mode)}, got {mode!r}")
    if not 0 <= lower <= upper:
        raise ValueError(f"lower must be at least 0 and at most upper={upper}, got {lower}")
