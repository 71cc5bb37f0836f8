"""The size of a tail: which sizes are allowed, and the rules that derive one."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from htga_client.statistics.hill import MIN_AUTO_K, MIN_SAMPLE, MIN_TAIL, TAIL_FRACTION

K = int | float | Literal["auto", "power"]
"""A number of entries, a fraction of the finite non-zero entries, or a rule: "auto" or "power"."""


def check_k(k: K) -> None:
    """Refuse a k that can never give an estimate.

    Raises:
        ValueError: `k` is an integer below 10, a fraction outside (0, 1), or an unknown word.
    """
    if isinstance(k, str):
        accepted = k in {"auto", "power"}
    elif isinstance(k, float):
        accepted = 0 < k < 1
    else:  # Any integer, NumPy's too.
        accepted = hasattr(k, "__index__") and MIN_TAIL <= k < 2**63
    if not accepted:
        raise ValueError(
            f"k must be an integer of at least {MIN_TAIL}, a fraction in (0, 1), 'auto' "
            f"or 'power', got {k!r}"
        )


def resolved(k: K) -> K:
    """The rule behind "auto"; any other k as it is."""
    return TAIL_FRACTION if k == "auto" else k


def k_for(n: Tensor, k: K) -> Tensor:
    """The tail size for a sample of `n` finite non-zero entries; never falls as `n` grows.

    * an integer: itself;
    * a fraction: round(k * n), at least 50;
    * "auto": 1 % of n, at least 50. A sample and the whole that it is drawn from, a small gradient
      and a large one, then look at the same part of their distribution, so that their indices can
      be compared.
    * "power": n**0.6, at least 50 and at most n // 10. It comes nearer to the tail as n grows, so
      the bias of a large sample is small, and another than that of a small one.

    The last three give 0 for n < 500.

    Args:
        n: int64, 0-d.
        k: As above, checked by `check_k`.

    Returns:
        int64, 0-d, on the device of `n`.
    """
    k = resolved(k)
    if k == "power":
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
