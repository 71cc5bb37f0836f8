"""The largest eigenvalue of a loss's Hessian, from products of the Hessian with vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from htga.telemetry.closures.closure_error import ClosureError

Vector = list[Tensor]
"""A vector of the parameters' space: real, in float32 or float64, one part for each parameter."""

CONVERGED = 0.01
"""Error bound, as a share of the eigenvalue, from which it counts as found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpness:
    """The curvature of a loss at one point of the training.

    Attributes:
        sharpness: Largest eigenvalue of the Hessian.
        error: Norm of the residual: an eigenvalue lies no farther than this from `sharpness`, but
            for rounding. That it is the largest is likely, not certain.
        lowest: Smallest eigenvalue, to the same accuracy or less; negative away from a minimum.
        products: Number of products of the Hessian with a vector.
    """

    sharpness: float
    error: float
    lowest: float
    products: int

    @property
    def has_converged(self) -> bool:
        """Whether the error is at most 1 % of the eigenvalue."""
        return self.error <= CONVERGED * abs(self.sharpness)


def sharpness_of(
    closure: Callable[[], object], parameters: Sequence[Tensor], products: int
) -> Sharpness:
    """The largest eigenvalue of the Hessian of the loss that a closure returns.

    The closure is called once. Attention is computed in a form that has a second derivative.

    Raises:
        ClosureError: It returns no loss of the parameters, has called `backward`, or its loss has
            no second derivative that PyTorch knows.
    """
    with sdpa_kernel(SDPBackend.MATH):
        loss = closure()
    if any(parameter.grad is not None for parameter in parameters):
        raise ClosureError(
            "closure must return the loss without calling its backward(), which frees the graph "
            "that the second derivative needs"
        )
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        raise ClosureError(
            "closure must return the loss as a tensor of one element that depends on the "
            "optimizer's parameters"
        )
    try:
        gradients = torch.autograd.grad(
            loss.reshape(()), parameters, create_graph=True, allow_unused=True
        )
        used = [
            place
            for place, gradient in enumerate(gradients)
            if gradient is not None and gradient.requires_grad
        ]
        if not used:  # the loss is linear in pieces
            return Sharpness(sharpness=0.0, error=0.0, lowest=0.0, products=0)

        def product(vector: Vector) -> Vector:
            found = torch.autograd.grad(
                [gradients[place] for place in used],
                [parameters[place] for place in used],
                [_like(part, parameters[place]) for place, part in zip(used, vector, strict=True)],
                retain_graph=True,
                materialize_grads=True,
            )
            return [_real(part) for part in found]

        return lanczos(product, [_real(parameters[place]) for place in used], products)
    except RuntimeError as error:
        raise ClosureError(f"the loss of closure has no second derivative: {error}") from error


@torch.no_grad()
def lanczos(product: Callable[[Vector], Vector], like: Vector, products: int) -> Sharpness:
    """The ends of a symmetric operator's spectrum by Lanczos' method, in the memory of 3 vectors.

    With the same products power iteration finds less: only the eigenvalue of largest magnitude,
    and with an error that falls by the ratio of the two largest per product, Lanczos' by about its
    square root's. Without orthogonalising anew, eigenvalues may come twice, and the ends stay right
    (Parlett, The Symmetric Eigenvalue Problem, 1998). The first vector is random, always the same.

    Args:
        product: The operator.
        like: A vector of its shape.
        products: How often to apply it.
    """
    generator = torch.Generator().manual_seed(0)
    now = [torch.randn(part.shape, generator=generator).to(part) for part in like]
    _scale(now, 1 / max(_dot(now, now) ** 0.5, 1e-300))
    before: Vector = []
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(products):
        following = product(now)
        diagonal.append(_dot(now, following))
        _add(following, now, -diagonal[-1])
        if before:
            _add(following, before, -beside[-1])
        beside.append(_dot(following, following) ** 0.5)
        if not math.isfinite(beside[-1]):
            return Sharpness(
                sharpness=math.nan, error=math.nan, lowest=math.nan, products=len(diagonal)
            )
        size = max(abs(x) for x in (*diagonal, *beside))
        if beside[-1] <= 1e-6 * size:  # a whole invariant subspace is found
            break
        _scale(following, 1 / beside[-1])
        before, now = now, following
    inner = beside[: len(diagonal) - 1]
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(inner, 1) + np.diag(inner, -1))
    return Sharpness(
        sharpness=float(values[-1]),
        error=float(abs(beside[len(diagonal) - 1] * vectors[-1, -1])),
        lowest=float(values[0]),
        products=len(diagonal),
    )


def _real(x: Tensor) -> Tensor:
    """The entries of a tensor as real numbers of at least single precision."""
    x = torch.view_as_real(x.detach().resolve_conj()) if x.is_complex() else x.detach()
    return x if x.dtype == torch.float64 else x.float()


def _like(part: Tensor, parameter: Tensor) -> Tensor:
    """A part of a vector in the form of the parameter's gradient."""
    return (torch.view_as_complex(part) if parameter.is_complex() else part).to(parameter.dtype)


def _dot(one: Vector, other: Vector) -> float:
    return sum(float((a.double() * b.double()).sum()) for a, b in zip(one, other, strict=True))


def _add(to: Vector, what: Vector, factor: float) -> None:
    for place, (part, other) in enumerate(zip(to, what, strict=True)):
        to[place] = part + factor * other


def _scale(x: Vector, factor: float) -> None:
    for place, part in enumerate(x):
        x[place] = part * factor
