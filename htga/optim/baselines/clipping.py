"""Clipping of a gradient that is spread over several tensors, in place.

Nothing waits for the device. Norms are over all tensors together, those of sharded ones over all
processes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from htga.tail.device_constants import constants

EPS = 1e-6
"""What `torch.nn.utils.clip_grad_norm_` adds to the norm."""

HALVINGS = 60
"""Steps of a bisection on (0, 1], after which float64 resolves no more."""


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """l2 norm of all entries, 0-d."""
    norm = torch.nn.utils.get_total_norm(tensors)
    return _whole(norm)


def multiply_all(tensors: Sequence[Tensor], factor: Tensor) -> None:
    """Multiply every entry by a 0-d tensor."""
    for tensor in tensors:
        tensor.mul_(factor.to(tensor.device, tensor.dtype))


def clip_l2(tensors: Sequence[Tensor], c: float) -> None:
    """Scale by min(1, c / (||g|| + 1e-6)): Huber's psi of the norm."""
    multiply_all(tensors, (c / (global_norm(tensors) + EPS)).clamp(max=1))


def clip_coordinates(tensors: Sequence[Tensor], c: float) -> None:
    """Replace g_i by clamp(g_i, -c, c): Huber's psi of every coordinate."""
    for tensor in tensors:
        tensor.clamp_(-c, c)


def clip_pseudo_huber(tensors: Sequence[Tensor], c: float) -> None:
    """Divide by sqrt(1 + (||g|| / c)**2), the smooth form of `clip_l2`."""
    multiply_all(tensors, (1 + (global_norm(tensors) / c).square()).rsqrt())


def clip_huber_sum(tensors: Sequence[Tensor], c: float, budget: float) -> None:
    """Scale by the largest s of at most 1 for which sum_i huber_c(s g_i) <= budget.

    huber_c(x) is x**2 / 2 up to |x| = c and c (|x| - c / 2) beyond. The sum rises with s, so a
    bisection finds it; each of its steps reads the gradient once.
    """
    low, high = constants((0.0, 1.0), tensors[0].device).unbind()
    low = low.where(huber_sum(tensors, high, c) > budget, 1)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = huber_sum(tensors, middle, c) <= budget
        low, high = middle.where(fits, low), high.where(fits, middle)
    multiply_all(tensors, low)


def huber_sum(tensors: Sequence[Tensor], scale: Tensor, c: float) -> Tensor:
    """Sum of huber_c(scale g_i), float64, 0-d."""
    total = torch.zeros_like(scale)
    for tensor in tensors:
        size = tensor.abs() * scale.to(tensor.device, tensor.dtype)
        small = size.clamp(max=c)
        found = (small.square() / 2 + c * (size - small)).sum(dtype=torch.float64)
        total += _whole(found).to(total.device)
    return total


def _whole(x: Tensor) -> Tensor:
    """The whole of a DTensor, whose module a single process need not import."""
    return x.full_tensor() if hasattr(x, "full_tensor") else x


def bi_clip_coordinates(tensors: Sequence[Tensor], lower: float, upper: float) -> None:
    """Replace g_i by sign(g_i) clamp(|g_i|, lower, upper); zero stays zero (arXiv 2502.04164)."""
    for tensor in tensors:
        tensor.copy_(tensor.sign() * tensor.abs().clamp(lower, upper))


def bi_clip_l2(tensors: Sequence[Tensor], lower: float, upper: float) -> None:
    """Scale by clamp(||g||, lower, upper) / ||g||; zero stays zero (TailOPT, arXiv 2502.04164)."""
    norm = global_norm(tensors)
    multiply_all(tensors, (norm.clamp(lower, upper) / norm).where(norm > 0, 1))
