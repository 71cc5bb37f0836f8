"""Optimizers of the shapes that other packages have, written as those packages write them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer


class Lion(Optimizer):
    """The sign of an average, as in lion-pytorch."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                if not self.state[p]:
                    self.state[p]["exp_avg"] = torch.zeros_like(p)
                average = self.state[p]["exp_avg"]
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(average.lerp(p.grad, 1 - first).sign_(), alpha=-group["lr"])
                average.lerp_(p.grad, 1 - second)
        return loss


class ScheduleFreeSGD(Optimizer):
    """Keeps the average in the parameters for `eval`, as in schedulefree."""

    def __init__(self, params: Iterable[Any], lr: float = 0.1, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "k": 0, "train_mode": False})

    def train(self) -> None:
        """Put the point at which gradients are taken into the parameters."""
        self._turn(train=True)

    def eval(self) -> None:
        """Put the average into the parameters."""
        self._turn(train=False)

    @torch.no_grad()
    def _turn(self, *, train: bool) -> None:
        for group in self.param_groups:
            share = 1 - group["momentum"] if train else 1 - 1 / group["momentum"]
            if group["train_mode"] != train:
                for p in group["params"]:
                    if "z" in self.state[p]:
                        p.lerp_(self.state[p]["z"], share)
            group["train_mode"] = train

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step."""
        if not self.param_groups[0]["train_mode"]:
            raise RuntimeError("call train() before step()")
        loss = None if closure is None else closure()
        for group in self.param_groups:
            group["k"] += 1
            share, lr, momentum = 1 / group["k"], group["lr"], group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                if "z" not in self.state[p]:
                    self.state[p]["z"] = p.clone()
                z = self.state[p]["z"]
                p.lerp_(z, share).add_(p.grad, alpha=lr * (momentum * (1 - share) - 1))
                z.sub_(p.grad, alpha=lr)
        return loss


class SAM(Optimizer):
    """Needs a closure, or is called in two passes, as in davda54/sam."""

    def __init__(
        self, params: Iterable[Any], base_optimizer: Callable[..., Optimizer], rho: float = 0.05
    ) -> None:
        super().__init__(params, {"rho": rho})
        self.base_optimizer = base_optimizer(self.param_groups)
        self.param_groups = self.base_optimizer.param_groups
        self.defaults.update(self.base_optimizer.defaults)

    @torch.no_grad()
    def first_step(self) -> None:
        """Climb."""
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        norm = torch.stack([grad.norm() for grad in grads if grad is not None]).norm()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.state[p]["old_p"] = p.clone()
                    p.add_(p.grad * (group["rho"] / norm))
        self.zero_grad()

    @torch.no_grad()
    def second_step(self) -> None:
        """Return, and descend by the gradient from above."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.copy_(self.state[p]["old_p"])
        self.base_optimizer.step()
        self.zero_grad()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Both passes."""
        if closure is None:
            raise AssertionError("SAM requires closure, but it was not provided")
        self.first_step()
        torch.enable_grad()(closure)()
        self.second_step()


class Lookahead(Optimizer):
    """Does not call the constructor of `Optimizer`, as in most copies of lookahead.pytorch."""

    def __init__(self, optimizer: Optimizer, k: int = 2, alpha: float = 0.5) -> None:
        self.optimizer = optimizer
        self.param_groups = optimizer.param_groups
        self.state: Any = defaultdict(dict)
        self.k, self.alpha, self.counter = k, alpha, 0

    def zero_grad(self) -> None:  # type: ignore[override]
        """Has no argument, as in older packages."""
        self.optimizer.zero_grad()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step, and look back at every k-th."""
        every = [p for group in self.param_groups for p in group["params"]]
        for p in every:
            if "slow" not in self.state[p]:
                self.state[p]["slow"] = p.clone()
        loss = self.optimizer.step(closure) if closure else self.optimizer.step()
        self.counter += 1
        if self.counter % self.k == 0:
            for p in every:
                slow: Tensor = self.state[p]["slow"]
                p.copy_(slow.lerp_(p, self.alpha))
        return loss


class NotAnOptimizer:
    """Wraps one without being one, as schedulefree's wrapper and apex's FP16_Optimizer do."""

    def __init__(self, base: Optimizer) -> None:
        self.base = base

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The base's groups."""
        return self.base.param_groups

    def step(self) -> None:
        """Take a step."""
        self.base.step()

    def zero_grad(self) -> None:
        """Drop the gradients."""
        self.base.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """The base's state."""
        return self.base.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore it."""
        self.base.load_state_dict(state)


class LARS(Optimizer):
    """A step as long as the parameters are, as in apex's LARC."""

    def __init__(self, params: Iterable[Any], lr: float = 0.1, trust: float = 0.1) -> None:
        super().__init__(params, {"lr": lr, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    ratio = group["trust"] * p.norm() / p.grad.norm()
                    ratio = torch.where(ratio.isfinite() & (ratio > 0), ratio, 1)
                    p.sub_(group["lr"] * ratio * p.grad)
        return loss


def lookahead(params: Any) -> Optimizer:
    """One of a class of its own, as PyTorch gives hooks to the class of one that loads a state."""
    own: type[Lookahead] = type("Lookahead", (Lookahead,), {})
    return own(SGD(params, lr=0.05, momentum=0.9))


SHAPES: dict[str, Callable[[Any], Any]] = {
    "Lion": lambda p: Lion(p, lr=0.01),
    "schedule-free SGD": lambda p: ScheduleFreeSGD(p, lr=0.1),
    "Lookahead of SGD": lookahead,
    "LARS": LARS,
    "SGD in a wrapper that is no Optimizer": lambda p: NotAnOptimizer(
        SGD(p, lr=0.05, momentum=0.9)
    ),
}
"""From parameters to an optimizer that steps without a closure."""
