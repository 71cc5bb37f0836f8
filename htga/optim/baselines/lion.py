"""Lion, and with it SignSGD and Signum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from htga.optim.wrapper import ClosureOptimizer


class Lion(ClosureOptimizer):
    """theta -= lr (sign(b1 m + (1 - b1) g) + weight_decay theta), then m = b2 m + (1 - b2) g.

    m begins at zero (Chen et al., Symbolic Discovery of Optimization Algorithms, arXiv 2302.06675,
    algorithm 2). With betas of (0, 0) this is SignSGD, with (b, b) it is Signum (Bernstein et al.,
    arXiv 1802.04434), whose sign is that of the new average. The sign of zero is zero.

    Args:
        params: Parameters or groups of them.
        lr: The length of a step in each coordinate.
        betas: b1 and b2, each in [0, 1).
        weight_decay: Decoupled, and times lr, as in AdamW.
        maximize: Ascend instead of descend.

    Raises:
        ValueError: An argument is out of its range.
        RuntimeError: A gradient is sparse, from `step`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        if lr < 0:
            raise ValueError(f"lr must be at least 0, got {lr}")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be in [0, 1), got {betas}")
        if weight_decay < 0:
            raise ValueError(f"weight_decay must be at least 0, got {weight_decay}")
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize},
        )

    def _step(self) -> None:
        for group in self.param_groups:
            lr, (b1, b2) = group["lr"], group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                grad = self._dense(parameter.grad)
                grad = -grad if group["maximize"] else grad
                state = self.state[parameter]
                if "average" not in state:
                    state["average"] = torch.zeros_like(parameter)
                average: Tensor = state["average"]
                parameter.mul_(1 - lr * group["weight_decay"])
                parameter.sub_(lr * average.lerp(grad, 1 - b1).sign())
                average.lerp_(grad, 1 - b2)

    @staticmethod
    def _dense(grad: Tensor) -> Tensor:
        if grad.is_sparse:
            raise RuntimeError("Lion needs dense gradients; make the embedding with sparse=False")
        return grad
