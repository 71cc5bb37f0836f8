"""Domains that particles leave."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Domain(Protocol):
    """A set of states."""

    def left(self, x: Tensor) -> Tensor:
        """Which particles are outside: bool, shape [n] for `x` of shape [n] or [n, d].

        NaN is outside, so that a particle whose force overflowed does not stay for ever.
        """
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """low < x < high, on a line; one end may be infinite."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low={self.low} must be below high={self.high}")

    def left(self, x: Tensor) -> Tensor:
        """Which particles are at an end of the interval or beyond."""
        return ((x > self.low) & (x < self.high)).logical_not_()


@dataclass(frozen=True, slots=True)
class Ball:
    """|x| < radius, in d dimensions."""

    radius: float

    def __post_init__(self) -> None:
        if not 0 < self.radius < math.inf:
            raise ValueError(f"radius={self.radius} must be positive and finite")

    def left(self, x: Tensor) -> Tensor:
        """Which particles are on the sphere or beyond."""
        inside: Tensor = torch.linalg.vector_norm(x, dim=-1) < self.radius
        return ~inside
