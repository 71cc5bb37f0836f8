"""What is measured of an update, and the numbers of a row that follow from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from htga.telemetry.sharded import AnyMeasurement

PRODUCTS = 9

SAME = 1e-4
"""Relative difference up to which two norms are taken for those of the same gradient."""


@dataclass(frozen=True, slots=True)
class UpdateMeasurement:
    """The measurement of the update of one layer, or of the whole model.

    Attributes:
        products: float64 [9]: the squared norm of the weights before the step; before it, over the
            parameters that have a momentum, momentum.momentum, momentum.gradient and
            gradient.gradient; after it update.update, update.gradient and gradient.gradient; and
            of the entries in half precision the number that did not move, and the number of all.
        knows_gradient: Whether the gradient was still that from before the step; if not, there is
            no cosine.
        update_tail, weight_tail: The tails of the update and of the weights before it, if they
            were asked for.
    """

    products: Tensor
    knows_gradient: bool = True
    update_tail: AnyMeasurement | None = None
    weight_tail: AnyMeasurement | None = None


def update_numbers(products: Sequence[float], *, knows_gradient: bool) -> dict[str, float]:
    """The numbers of a row by name; what is not defined, such as an angle of zero, is missing.

    Args:
        products, knows_gradient: As in `UpdateMeasurement`.
    """
    weights, momentum, along, before, update, against, gradient, *_ = products
    update_norm, weight_norm = _root(update), _root(weights)
    numbers = {"update_norm": update_norm, "weight_norm": weight_norm}
    if weight_norm != 0:
        numbers["update_ratio"] = update_norm / weight_norm
    if knows_gradient and (cosine := _cosine(against, update, gradient)) is not None:
        numbers["update_cosine"] = cosine
    if (cosine := _cosine(along, momentum, before)) is not None:
        numbers["momentum_cosine"] = cosine
    return numbers


def share_still(products: Sequence[float]) -> float | None:
    """The share of entries in half precision that the step did not move; None without any."""
    *_, still, narrow = products
    return still / narrow if narrow > 0 else None


def is_same_gradient(products: Sequence[float], grad_norm: float) -> bool:
    """Whether the gradient after the step can be the one that was measured before it."""
    norm = _root(products[6])
    if not (math.isfinite(norm) and math.isfinite(grad_norm)):
        return True  # nothing can be told, and there is no angle
    return abs(norm - grad_norm) <= SAME * grad_norm


def _cosine(product: float, one: float, other: float) -> float | None:
    """The cosine of vectors with this inner product and these squared norms; None if undefined."""
    length = _root(one) * _root(other)
    if not (0 < length < math.inf and math.isfinite(product)):
        return None
    return max(-1.0, min(1.0, product / length))


def _root(squares: float) -> float:
    return math.sqrt(squares) if squares >= 0 else math.nan
