"""The learning rates of an optimizer's groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

MAX_RATES = 16
"""Maximum number of groups whose learning rate the row of the whole model tells."""


def learning_rates(optimizer: Optimizer) -> list[float | Tensor | None]:
    """The learning rate of each group: a number, a 0-d tensor on an accelerator, or None."""
    return [_rate(group) for group in optimizer.param_groups]


def group_of(optimizer: Optimizer) -> dict[int, int]:
    """Number of the group of each parameter, by `id`."""
    groups = enumerate(optimizer.param_groups)
    return {id(p): number for number, group in groups for p in group["params"]}


def _rate(group: Mapping[str, Any]) -> float | Tensor | None:
    rate = group.get("lr")
    if isinstance(rate, Tensor):
        if rate.numel() != 1 or rate.is_complex():
            return None
        # One that a scheduler writes to in place must not change before it is read.
        return float(rate) if rate.device.type == "cpu" else rate.detach().reshape(()).clone()
    try:
        return None if rate is None else float(rate)
    except (TypeError, ValueError, OverflowError):
        return None
