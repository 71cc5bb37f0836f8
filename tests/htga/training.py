"""A small network and a training loop that repeats to the last bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from htga.tail import TailState

BASES: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": lambda p: SGD(p, lr=0.05, foreach=False),
    "sgd_momentum": lambda p: SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3, foreach=False),
    "sgd_foreach": lambda p: SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3, foreach=True),
    "sgd_fused": lambda p: SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3, fused=True),
    "adam": lambda p: Adam(p, lr=0.01),
    "rmsprop": lambda p: RMSprop(p, lr=0.001),
    "adamw": lambda p: AdamW(p, lr=0.01, foreach=False),
    "adamw_fused": lambda p: AdamW(p, lr=0.01, fused=True),
}


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(20, 60), nn.Tanh(), nn.Linear(60, 3))


def loss_of(model: nn.Module, seed: int) -> Tensor:
    """The loss on a batch of its own."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(16, 20, generator=generator)
    y = torch.randint(3, (16,), generator=generator)
    return nn.functional.cross_entropy(model(x), y)


def backward(model: nn.Module, seed: int) -> float:
    loss = loss_of(model, seed)
    torch.autograd.backward(loss)
    return loss.item()


def train(model: nn.Module, optimizer: Optimizer, steps: range) -> None:
    for seed in steps:
        optimizer.zero_grad()
        backward(model, seed)
        optimizer.step()


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def remembered(optimizer: Optimizer) -> dict[str, Any]:
    """What a wrapper keeps in a checkpoint beside its base's state."""
    own: dict[str, Any] = optimizer.state_dict()["param_groups"][0]["htga"]
    return own


def update_alpha(tail: TailState) -> Tensor:
    """The tail index of the update, which was measured."""
    assert tail.update_alpha is not None
    return tail.update_alpha


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit, tensors included, NaN equal to NaN."""
    if isinstance(one, Tensor):
        return torch.equal(one.nan_to_num(-1), other.nan_to_num(-1))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)
