"""The slow way to know an update: copies of everything before a step, and float64 after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from htga.telemetry.probe import Probe


class Twin:
    """An optimizer under a probe, and what its rows should say of each update."""

    def __init__(
        self, parameters: Sequence[nn.Parameter], optimizer: Optimizer, **options: Any
    ) -> None:
        self.parameters = list(parameters)
        self.optimizer = optimizer
        self.rows: list[Mapping[str, Any]] = []
        self.expected: list[dict[str, float | None]] = []
        options = {"updates_every": 1} | options
        self.probe = Probe(optimizer, lambda make: self.rows.extend(make()), **options)

    def step(
        self, gradients: Sequence[Tensor | None], take: Callable[[], Any] | None = None
    ) -> None:
        """Take a step with gradients, and keep what is to be expected of it.

        Args:
            gradients: One for each parameter.
            take: What steps, if it is not the optimizer itself.
        """
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.clone()
        self.observe(gradients, take or self.optimizer.step)

    def observe(self, gradients: Sequence[Tensor | None], take: Callable[[], Any]) -> None:
        """Take a step that applies these gradients."""
        has = [gradient is not None for gradient in gradients]
        owners = [p for p, is_there in zip(self.parameters, has, strict=True) if is_there]
        given = [wide(g) for g in gradients if g is not None]
        before = [wide(p) for p in owners]
        kept = [self.optimizer.state.get(p, {}) for p in owners]
        found = [state.get("momentum_buffer", state.get("exp_avg")) for state in kept]
        momentum = [(wide(m), g) for m, g in zip(found, given, strict=True) if m is not None]
        take()
        update = torch.cat([b - wide(p) for b, p in zip(before, owners, strict=True)])
        gradient, weights = torch.cat(given), torch.cat(before)
        self.expected.append({
            "update_norm": update.norm().item(),
            "weight_norm": weights.norm().item(),
            "update_ratio": (update.norm() / weights.norm()).item(),
            "update_cosine": cosine(update, gradient),
            "momentum_cosine": cosine(*map(torch.cat, zip(*momentum, strict=True)))
            if momentum
            else None,
        })  # fmt: skip

    def check(self) -> None:
        """Each row of the whole model says what is expected."""
        whole = [row for row in self.rows if not row["layer"]]
        assert len(whole) == len(self.expected)
        for row, expected in zip(whole, self.expected, strict=True):
            for name, value in expected.items():
                found = row.get(name)
                near = value is not None and pytest.approx(value, rel=1e-6, abs=1e-7)
                assert found is None if value is None else found == near, name


def wide(x: Tensor) -> Tensor:
    """A flat copy in float64 of what a tensor holds."""
    x = x.detach()
    x = x.to_dense() if x.is_sparse else x
    x = torch.view_as_real(x) if x.is_complex() else x
    return x.double().clone().reshape(-1)


def cosine(x: Tensor, y: Tensor) -> float | None:
    length = (x.norm() * y.norm()).item()
    return x.dot(y).item() / length if length else None


class Lion(Optimizer):
    """Lion, as its paper has it: the sign of a mixture of momentum and gradient."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 1e-3, "weight_decay": 0.1})

    @torch.no_grad()
    def step(self, _: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                m = state.setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * (0.9 * m + 0.1 * p.grad).sign())
                m.mul_(0.99).add_(p.grad, alpha=0.01)


class OldStyle(Optimizer):
    """Writes weight decay into the gradient past the counter of its versions, as many did."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 0.1})

    def step(self, _: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.data.add_(p.data, alpha=0.5)
                p.data.add_(p.grad.data, alpha=-group["lr"])
