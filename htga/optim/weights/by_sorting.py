"""Ranks by sorting, and the weights that follow from them."""

from __future__ import annotations

import warnings
from math import inf
from typing import Any

import torch
from torch import Tensor

from htga.optim.constants import MAX_CAPPED
from htga.optim.settings import Normalize, Settings, Ties
from htga.optim.weights.rank_weights import cap


def amplify(
    gradient: Tensor,
    *,
    beta: Tensor,
    gamma: Tensor,
    ties: Ties,
    normalize: Normalize,
    w_max: float = inf,
    max_coord_share: float = 1.0,
    ranked_by: Tensor | None = None,
) -> Tensor:
    """Multiply a gradient by gamma and by its rank weights (rank / d)**-beta, normalised.

    The factor gamma comes after the normalisation, which would cancel it otherwise.

    Args:
        gradient: Shape [d], float32 or float64.
        beta: Exponent, float64, 0-d; 0 gives equal weights.
        gamma: Factor, float64, 0-d.
        ties: See `ranks`.
        normalize: See `normalized`.
        w_max: Limit on the weights before they are normalised.
        max_coord_share: See `cap`.
        ranked_by: Magnitudes to rank in place of the gradient's own, shape [d].
    """
    magnitudes = gradient.abs() if ranked_by is None else ranked_by
    weights = (ranks(magnitudes, ties) / max(gradient.numel(), 1)).pow(-beta).clamp(max=w_max)
    if max_coord_share < 1 and gradient.numel():
        weights = capped(magnitudes, weights, max_coord_share)
    return gradient * (gamma * normalized(weights, gradient, normalize))


def capped(x: Tensor, weights: Tensor, share: float) -> Tensor:
    """Weights [d] of magnitudes [d], lowered where a coordinate would have too large a share."""
    wide, product = x.double(), (x * weights).double()
    top = wide.topk(min(MAX_CAPPED, x.numel()))
    of_top = weights.double().take(top.indices).flip(0)
    ascending = top.values.flip(0)
    rest = product.square().sum() - (ascending * of_top).square().sum()
    limit = cap(ascending, of_top, rest.clamp(min=0), wide.square().sum(), share)
    return weights.where(product <= limit, limit.to(x.dtype) / x)


def ranks(magnitudes: Tensor, ties: Ties) -> Tensor:
    """Rank of every magnitude, 1 for the largest.

    Args:
        magnitudes: Not negative, float32 or float64, shape [d].
        ties: Equal magnitudes get their "average" rank, or "ordinal" ones by position.

    Returns:
        Shape and dtype of `magnitudes`.
    """
    keys, order = descending(magnitudes)
    position = torch.arange(1, keys.numel() + 1, dtype=magnitudes.dtype, device=magnitudes.device)
    if ties == "average":
        starts = torch.ones_like(keys, dtype=torch.bool)
        starts[1:] = keys[1:] != keys[:-1]
        ends = starts.roll(-1)
        first = position.where(starts, 0).cummax(0).values
        last = position.where(ends, torch.inf).flip(0).cummin(0).values.flip(0)
        position = (first + last) / 2
    return torch.empty_like(magnitudes).scatter_(0, order, position)


def descending(magnitudes: Tensor) -> tuple[Tensor, Tensor]:
    """Sort from large to small, equal magnitudes by position.

    Returns:
        Sorted keys, equal where the magnitudes are, and the indices that sort the magnitudes.
    """
    if magnitudes.dtype == torch.float32:
        # Bit patterns of non-negative floats order as the floats do, and torch sorts integers
        # upwards by radix, on a CPU 10 times faster.
        return (0x7FFFFFFF - magnitudes.view(torch.int32)).sort(stable=True)
    return magnitudes.sort(descending=True, stable=True)


def normalized(weights: Tensor, gradient: Tensor, normalize: Normalize) -> Tensor:
    """Weights scaled so that the amplified gradient keeps its size.

    Args:
        weights: Shape [d].
        gradient: Shape [d].
        normalize: "none"; "mean_one": the mean weight of the non-zero entries is 1; "l2": the
            weighted gradient has the l2 norm of the gradient.
    """
    if normalize == "none":
        return weights
    if normalize == "mean_one":
        nonzero = gradient != 0
        mean = (weights * nonzero).sum() / nonzero.sum()
        return weights / mean.masked_fill(mean.isnan(), 1)
    before = torch.linalg.vector_norm(gradient, dtype=torch.float64)
    after = torch.linalg.vector_norm(gradient * weights, dtype=torch.float64)
    return weights * torch.where(after > 0, before / after, 1)


def warn_of_raw_weights(param_groups: list[dict[str, Any]], settings: Settings) -> None:
    """Warn if the largest weight alone can make a step unstable."""
    beta = settings.beta_bounds[1] if settings.controls_beta else settings.beta
    if settings.normalize != "none" or beta <= 0:
        return
    d = sum(p.numel() for group in param_groups for p in group["params"])
    for group in param_groups:
        lr, momentum = float(group.get("lr", 0)), group.get("momentum", 0)
        if momentum > 0 and lr * d**beta > 1:
            warnings.warn(
                f"normalize='none' with beta={beta}, momentum={momentum} and lr={lr} steps by "
                f"lr * d**beta = {lr * d**beta:.3g} times the largest of {d} entries, which often "
                "diverges; lower lr or beta, or pass normalize='l2'",
                stacklevel=3,
            )
            return
