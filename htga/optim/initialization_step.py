"""A step that is called only so that an optimizer makes its state."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer


def is_initialization(optimizer: Optimizer) -> bool:
    """Whether the step that comes next would move nothing, and only makes the state.

    `torch.distributed.checkpoint` calls `step` with zero gradients and a learning rate of zero
    before it saves or loads an optimizer without a state, at each checkpoint if that never gets
    one. Nothing was learned then, so nothing counts: no controller and no telemetry.

    Waits for the device only where there is no state and the learning rate is zero.
    """
    if getattr(optimizer, "state", None) or not _is_still(optimizer):
        return False
    grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
    given = [grad for grad in grads if grad is not None]
    return bool(given) and not any(_may_move(grad) for grad in given)


def _is_still(optimizer: Optimizer) -> bool:
    """Whether every learning rate is known to be zero."""
    for group in optimizer.param_groups:
        rate = group.get("lr", 0)
        if isinstance(rate, Tensor) and rate.device.type != "cpu":
            return False
        if rate is None or rate != 0:
            return False
    return True


def _may_move(grad: Tensor) -> bool:
    if grad.device.type == "meta" or grad.layout != torch.strided:
        return True
    found = grad.detach().any()
    # All processes must agree, and each may hold a part of the gradient.
    whole = found.full_tensor() if hasattr(found, "full_tensor") else found
    return bool(whole)
