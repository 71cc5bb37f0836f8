"""The result of an estimator."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor


class TailStatus(IntEnum):
    """Whether an estimate can be used, and if not, the most serious reason."""

    OK = 0
    TOO_FEW = 1
    """The sample is too small for this k: fewer than k + 1 entries, or k below 10."""
    DEGENERATE = 2
    """The estimator has no answer: all magnitudes of the tail are equal, or it divides by zero."""
    LIGHT = 3
    """The tail is not heavy: its extreme-value index is not positive, so alpha is infinite. For an
    estimator that assumes a stable law: alpha is at its limit, 2, the Gaussian."""
    NONFINITE = 4
    """The sample holds NaN or infinity; the estimate describes the finite rest of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TailEstimate:
    """A tail index and how it was estimated; every field is a 0-d tensor on the sample's device.

    Nothing here waits for the device. alpha, xi, stderr and threshold are NaN if there is no
    estimate (too few entries, or a degenerate tail).

    A finite alpha is never evidence of a power law: estimators like Hill's are finite and positive
        on
    any data. `light` tells whether the tail may be a light one.

    Attributes:
        alpha: Tail index, float64: P(|x| > t) falls like t**-alpha.
        xi: Extreme-value index, float64; 1 / alpha if the tail is heavy.
        stderr: Standard error of alpha, float64, as if the entries were independent.
        k: Number of tail entries used, int64.
        n: Number of finite non-zero entries, int64.
        threshold: Magnitude above which the tail begins, float64.
        n_zero: Number of exact zeros, int64; they carry no information about the tail.
        n_nonfinite: Number of NaNs and infinities, int64.
        light: Whether the moment estimator on the same tail cannot reject a light tail at 95 %,
            bool.
        status: A `TailStatus`, int8.
    """

    alpha: Tensor
    xi: Tensor
    stderr: Tensor
    k: Tensor
    n: Tensor
    threshold: Tensor
    n_zero: Tensor
    n_nonfinite: Tensor
    light: Tensor
    status: Tensor

    def host(self) -> dict[str, Any]:
        """The fields as Python numbers and a `TailStatus`; waits for the device once."""
        tensors = [getattr(self, field.name) for field in fields(self)]
        numbers = torch.stack([tensor.double() for tensor in tensors]).tolist()
        python = {
            field.name: number if tensor.is_floating_point() else int(number)
            for field, tensor, number in zip(fields(self), tensors, numbers, strict=True)
        }
        return python | {"light": bool(python["light"]), "status": TailStatus(python["status"])}


def conclude(
    *,
    alpha: Tensor,
    xi: Tensor,
    stderr: Tensor,
    k: Tensor,
    n: Tensor,
    threshold: Tensor,
    n_zero: Tensor,
    n_nonfinite: Tensor,
    light: Tensor,
    enough: Tensor,
    degenerate: Tensor,
) -> TailEstimate:
    """Make an estimate of raw numbers: blank the meaningless ones, and set the status.

    Args:
        enough: Whether the sample is large enough for this k.
        degenerate: Whether the tail has no spread.

    The other arguments are fields of `TailEstimate`.
    """
    infinite = xi <= 0
    status = (
        torch.zeros_like(n, dtype=torch.int8)
        .masked_fill(infinite, TailStatus.LIGHT)
        .masked_fill(degenerate, TailStatus.DEGENERATE)
        .masked_fill(~enough, TailStatus.TOO_FEW)
        .masked_fill(n_nonfinite > 0, TailStatus.NONFINITE)
    )
    void = degenerate | ~enough
    return TailEstimate(
        alpha=alpha.masked_fill(infinite, torch.inf).masked_fill(void, torch.nan),
        xi=xi.masked_fill(void, torch.nan),
        stderr=stderr.masked_fill(infinite, torch.inf).masked_fill(void, torch.nan),
        k=k,
        n=n,
        threshold=threshold.masked_fill(void, torch.nan),
        n_zero=n_zero,
        n_nonfinite=n_nonfinite,
        light=(light | infinite) & ~void,
        status=status,
    )
