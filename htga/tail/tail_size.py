"""The size of a tail: which sizes are allowed, and the rules that derive one."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from htga_client.statistics.hill import MIN_AUTO_K, MIN_SAMPLE, MIN_TAIL

K = int | float | Literal["auto"]
"""A number of entries, a fraction of the finite non-zero entries, or the power rule."""


def check_k(k: K) -> None:
    """Refuse a k that can never give an estimate.

    Raises:
        ValueError: `k` is an integer below 10, a fraction outside (0, 1), or an unknown word.
    """
    if isinstance(k, str):
        accepted = k == "auto"
    elif isinstance(k, float):
        accepted = 0 < k < 1
    else:  # Any integer, NumPy's too.
        accepted = hasattr(k, "__index__") and MIN_TAIL <= k < 2**63
    if not accepted:
        raise ValueError(
            f"k must be an integer of at least {MIN_TAIL}, a fraction in (0, 1) or 'auto', "
            f"got {k!r}"
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
    if k == "auto":
        size = torch.minimum(n.double().pow(0.6).round().long().clamp(min=MIN_AUTO_K), n // 10)
    elif isinstance(k, float):
        size = (n.double() * k).round().long().clamp(min=MIN_AUTO_K)
    else:
        return torch.full_like(n, int(k))
    return size.masked_fill(n < MIN_SAMPLE, 0)


@lru_cache(maxsize=256)
def max_tail_size(d: int, k: K) -> int:
    """The tail size for a sample of `d` entries, none of them zero, as a Python number."""
    return int(k_for(torch.tensor(d, device="cpu"), k))
