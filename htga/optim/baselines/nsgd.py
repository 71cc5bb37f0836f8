"""Normalised SGD with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from htga.optim.baselines.clipping import global_norm
from htga.optim.wrapper import ClosureOptimizer


class NSGD(ClosureOptimizer):
    """theta -= lr m / ||m|| with m = b m + (1 - b) g, and m = g at first.

    The norm is that of all parameters together, of all groups: normalising layer by layer is
    another method. Hübler, Fatkhullin and He (arXiv 2410.13849) prove convergence under noise
    whose p-th moment alone is finite, 1 < p <= 2. Where m is zero nothing moves.

    Args:
        params: Parameters or groups of them.
        lr: The length of a step; a group's own may differ.
        momentum: b, in [0, 1).
        parameter_free: Take lr * t**(-3/4) and b = 1 - t**(-1/2) at step t, which
            do not depend on p; `momentum` has no effect then.
        weight_decay: Decoupled: theta *= 1 - lr * weight_decay before the step.
        maximize: Ascend instead of descend.

    Raises:
        ValueError: An argument is out of its range.
        RuntimeError: A gradient is sparse, from `step`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.01,
        *,
        momentum: float = 0.9,
        parameter_free: bool = False,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        if lr < 0:
            raise ValueError(f"lr must be at least 0, got {lr}")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        if weight_decay < 0:
            raise ValueError(f"weight_decay must be at least 0, got {weight_decay}")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "parameter_free": parameter_free,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "steps": 0,
            },
        )

    def _step(self) -> None:
        moved = [
            (group, parameter, parameter.grad)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not moved:
            return
        for group in self.param_groups:
            group["steps"] += 1
        directions = [self._averaged(*entry) for entry in moved]
        norm = global_norm(directions)
        shrink = (1 / norm).where(norm > 0, 0)
        for (group, parameter, _), direction in zip(moved, directions, strict=True):
            lr = group["lr"]
            if group["parameter_free"]:
                lr = lr * group["steps"] ** -0.75
            parameter.mul_(1 - lr * group["weight_decay"])
            sign = 1 if group["maximize"] else -1
            parameter.add_(direction * (sign * lr * shrink).to(direction.device, direction.dtype))

    def _averaged(self, group: dict[str, Any], parameter: Tensor, grad: Tensor) -> Tensor:
        if grad.is_sparse:
            raise RuntimeError("NSGD needs dense gradients; make the embedding with sparse=False")
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = grad.clone()
        else:
            keep = group["momentum"]
            if group["parameter_free"]:
                keep = 1 - group["steps"] ** -0.5
            state["momentum_buffer"].lerp_(grad, 1 - keep)
        buffer: Tensor = state["momentum_buffer"]
        return buffer
