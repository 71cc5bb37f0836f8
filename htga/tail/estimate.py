"""What an estimator returns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor


class TailStatus(IntEnum):
    """Whether an estimate can be used, and if not, the most serious reason why."""

    OK = 0
    TOO_FEW = 1
    """The sample is too small for this k: fewer than k + 1 entries, or k below 10."""
    DEGENERATE = 2
    """The estimator has no answer: all magnitudes of the tail are equal, or it divides by zero."""
    LIGHT = 3
    """The tail is not heavy: its extreme-value index is not positive, so alpha is infinite. From
    an estimator that assumes a stable law: alpha is at its end, 2, the Gaussian."""
    NONFINITE = 4
    """The sample holds NaN or infinity; the estimate describes the finite rest of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TailEstimate:
    """A tail index and how it was found, every field a 0-d tensor on the sample's device.

    Nothing here waits for the device. alpha, xi, stderr and threshold are NaN where there is no
    estimate (too few entries, or a degenerate tail).

    A finite alpha is never evidence of a power law: Hill's and its kin's are finite and positive
    on any data. `light` says so beside each of them.

    Attributes:
        alpha: Tail index, float64: P(|x| > t) falls like t**-alpha.
        xi: Extreme-value index, float64; 1 / alpha where the tail is heavy.
        stderr: Standard error of alpha, float64, as if the entries were independent.
        k: Number of tail entries used, int64.
        n: Number of finite non-zero entries, int64.
        threshold: Magnitude above which the tail begins, float64.
        n_zero: Number of exact zeros, int64; they carry no information about the tail.
        n_nonfinite: Number of NaNs and infinities, int64.
        light: Whether the moment estimator, from the same tail, cannot tell it from a light one
            at 95 %, bool.
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
    """Judge raw numbers: blank those that mean nothing, and say why in the status.

    `enough` says whether the sample is large enough for this k, `degenerate` whether the tail has
    no spread; the other arguments are fields of `TailEstimate`.
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
