"""The momentum that an optimizer keeps of earlier gradients."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer

NAMES = ("momentum_buffer", "exp_avg")
"""What the state of a parameter calls it: SGD, RMSprop and Muon; Adam's family, and Lion."""


def momentum_of(optimizer: Optimizer, parameter: Tensor) -> Tensor | None:
    """The mean of earlier gradients of a parameter, or None where the optimizer keeps none."""
    state = optimizer.state.get(parameter) or {}
    found = next((state[name] for name in NAMES if isinstance(state.get(name), Tensor)), None)
    return found if found is not None and found.shape == parameter.shape else None
