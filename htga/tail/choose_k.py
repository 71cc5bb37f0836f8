"""The size k of the tail: how many of the largest magnitudes an estimator looks at."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from htga.tail.entries import Tensors, flatten

K = int | float | Literal["auto"]
"""A number of entries, a fraction of the finite non-zero entries, or the power rule."""

MIN_K = 10
"""No tail is estimated from fewer entries: its standard error would exceed 30 %."""

MIN_N = 500
"""No k is derived from a smaller sample: a tenth of it would be fewer than 50 entries."""


def check_k(k: K) -> None:
    """Refuse a k that could never give an estimate.

    Raises:
        ValueError: `k` is an integer below 10, a fraction outside (0, 1), or an unknown word.
    """
    if isinstance(k, str):
        accepted = k == "auto"
    elif isinstance(k, int):
        accepted = k >= MIN_K
    else:
        accepted = 0 < k < 1
    if not accepted:
        raise ValueError(
            f"k must be an integer of at least {MIN_K}, a fraction in (0, 1) or 'auto', got {k!r}"
        )


def k_for(n: Tensor, k: K) -> Tensor:
    """The tail size for a sample of `n` finite non-zero entries; never falls as `n` grows.

    * an integer: itself;
    * a fraction: round(k * n), at least 50;
    * "auto": n**0.6, at least 50 and at most n // 10. On stable, Student-t and Pareto samples of
      1e4 to 1e7 entries this keeps both bias and variance small, where a fixed fraction is biased
      for large n.

    The last two give 0 for n < 500.

    Args:
        n: int64, 0-d.
        k: As above, checked by `check_k`.

    Returns:
        int64, 0-d, on the device of `n`.
    """
    if isinstance(k, int):
        return torch.full_like(n, k)
    if k == "auto":
        size = torch.minimum(n.double().pow(0.6).round().long().clamp(min=50), n // 10)
    else:
        size = (n.double() * k).round().long().clamp(min=50)
    return size.masked_fill(n < MIN_N, 0)


def choose_k(
    x: Tensors,
    rule: Literal["power", "fraction", "fixed"] = "power",
    value: float | None = None,
) -> Tensor:
    """Choose the tail size of a sample.

    Args:
        x: The sample.
        rule: "power", or "fraction" or "fixed" of `value`; see `k_for`.
        value: The fraction in (0, 1), or the number of entries.

    Returns:
        int64, 0-d, on the device of `x`; 0 where the sample is too small.

    Raises:
        ValueError: The rule is unknown, or the value does not belong to it.
    """
    if rule == "power" and value is None:
        k: K = "auto"
    elif value is not None and (rule, type(value)) in {("fraction", float), ("fixed", int)}:
        k = value
    else:
        raise ValueError(
            "rule must be 'power' without a value, 'fraction' with a float or 'fixed' with an "
            f"integer, got {rule!r} with {value!r}"
        )
    check_k(k)
    flat = flatten(x)
    return k_for(torch.count_nonzero(flat.isfinite() & (flat != 0)), k)
