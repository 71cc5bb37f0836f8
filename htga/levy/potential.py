"""Potentials, with their values and forces.

The one-dimensional potentials work entry by entry, so a tensor of any shape is a set of particles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Potential(Protocol):
    """U and -grad U."""

    def value(self, x: Tensor) -> Tensor:
        """U(x)."""
        ...

    def force(self, x: Tensor) -> Tensor:
        """-grad U(x), with the shape of `x`."""
        ...


@dataclass(frozen=True, slots=True)
class Quadratic:
    """U(x) = curvature x**2 / 2; curvature 0 is a flat landscape."""

    curvature: float = 1.0

    def value(self, x: Tensor) -> Tensor:
        """U of every entry."""
        return x.square().mul_(self.curvature / 2)

    def force(self, x: Tensor) -> Tensor:
        """-curvature x."""
        return x * -self.curvature


@dataclass(frozen=True, slots=True)
class DoubleWell:
    """U(x) = (x**2 - 1)**2 / 4: minima at -1 and 1, a saddle of height 1/4 at 0.

    The force x - x**3 grows faster than linearly: simulate it `tamed`.
    """

    def value(self, x: Tensor) -> Tensor:
        """U of every entry."""
        return x.square().sub_(1).square_().div_(4)

    def force(self, x: Tensor) -> Tensor:
        """The cubic x - x**3."""
        return x - x**3


@dataclass(frozen=True, slots=True)
class TwoWells:
    """Two wells of equal depth and of different widths, with the saddle at 0.

    U(x) = depth f(x / left) for x < 0 and depth f(x / right) for x > 0, with
    f(u) = (1 - u**2)**2 between the minima and 4 (|u| - 1)**2 outside them, which is twice
    differentiable there. The force is continuous everywhere, and grows linearly.

    Attributes:
        left: Distance of the left minimum, at -left, from the saddle.
        right: Distance of the right minimum, at right.
        depth: Height of the saddle above both.
    """

    left: float = 1.0
    right: float = 2.0
    depth: float = 1.0

    def __post_init__(self) -> None:
        for name in ("left", "right", "depth"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")

    def value(self, x: Tensor) -> Tensor:
        """U of every entry."""
        u = x.abs() / self._width(x)
        return self.depth * torch.where(u < 1, (1 - u**2) ** 2, 4 * (u - 1) ** 2)

    def force(self, x: Tensor) -> Tensor:
        """-dU/dx."""
        width = self._width(x)
        u = x / width
        inside = u * (1 - u.square())
        outside = 2 * (u.sign() - u)
        return 4 * self.depth / width * torch.where(u.abs() < 1, inside, outside)

    def _width(self, x: Tensor) -> Tensor:
        return torch.full_like(x, self.right).masked_fill_(x < 0, self.left)


@dataclass(frozen=True, slots=True)
class Custom:
    """A potential given by a function; the force comes from autograd.

    Attributes:
        function: Maps states to the value of each, differentiably: entry by entry for particles on
            a line, or [..., d] to [...] for particles in d dimensions.
    """

    function: Callable[[Tensor], Tensor]

    def value(self, x: Tensor) -> Tensor:
        """The function's value."""
        return self.function(x)

    def force(self, x: Tensor) -> Tensor:
        """Minus the gradient of the function."""
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.function(at).sum(), at)
        return -gradient
