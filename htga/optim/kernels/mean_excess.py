"""Hill's estimator after weighting, without another sort."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def mean_excess(  # noqa: PLR0917 (Triton binds by position)
    logs: tl.tensor,
    log_ranks: tl.tensor,
    beta: tl.tensor,
    mean: tl.tensor,
    m: tl.tensor,
    k: tl.tensor,
    TEMPERED: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> tl.tensor:
    """The mean of the k largest of m logarithms, less the next one: 1 over Hill's alpha.

    The numbers are almost in falling order, so nothing is sorted. The (k+1)-th largest lies between
    the least of the first k+1 numbers and the greatest of the rest. Usually these two are the same;
    otherwise few numbers lie between them, and bisection finds it.

    Args:
        logs: The numbers, or if `TEMPERED`, the numbers before beta * log_ranks is subtracted.
        mean: Mean of the first k numbers.
    """
    lane = tl.arange(0, BLOCK)
    least = tl.full([BLOCK], float("inf"), tl.float64)
    greatest = tl.full([BLOCK], float("-inf"), tl.float64)
    for start in range(0, m, BLOCK):
        at = start + lane
        x = tempered(logs, log_ranks, beta, at, at < m, TEMPERED)
        least = tl.minimum(least, tl.where(at <= k, x, float("inf")))
        greatest = tl.maximum(greatest, tl.where(at >= k, x, float("-inf")))
    low, high = tl.min(least), tl.max(greatest)
    exchanged = low * 0
    if low < high:
        begin = tl.full([BLOCK], 0, tl.int32) + m
        end = tl.full([BLOCK], 0, tl.int32)
        for start in range(0, m, BLOCK):
            at = start + lane
            x = tempered(logs, log_ranks, beta, at, at < m, TEMPERED)
            begin = tl.minimum(begin, tl.where(x <= high, at, m))
            end = tl.maximum(end, tl.where(x >= low, at + 1, 0))
        first, last = tl.min(begin), tl.max(end)
        while low < high:
            middle = (low + high) / 2
            middle = tl.where(middle < high, middle, low)
            count = tl.zeros([BLOCK], dtype=tl.int32)
            up = tl.full([BLOCK], float("inf"), tl.float64)
            down = tl.full([BLOCK], float("-inf"), tl.float64)
            for start in range(first, last, BLOCK):
                at = start + lane
                x = tempered(logs, log_ranks, beta, at, at < last, TEMPERED)
                above = x > middle
                count += above.to(tl.int32)
                up = tl.minimum(up, tl.where(above, x, float("inf")))
                down = tl.maximum(down, tl.where(above, float("-inf"), x))
            is_above = first + tl.sum(count) > k
            low, high = tl.where(is_above, tl.min(up), low), tl.where(is_above, high, tl.max(down))
        gained = tl.zeros([BLOCK], dtype=tl.float64)
        for start in range(first, last, BLOCK):
            at = start + lane
            x = tempered(logs, log_ranks, beta, at, at < last, TEMPERED)
            gained += tl.maximum(tl.where(at < k, low - x, x - low), 0.0)
        exchanged = tl.sum(gained)
    return mean - low + exchanged / k


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def tempered(  # noqa: PLR0917 (Triton binds by position)
    logs: tl.tensor,
    log_ranks: tl.tensor,
    beta: tl.tensor,
    at: tl.tensor,
    inside: tl.tensor,
    TEMPERED: tl.constexpr,  # noqa: N803
) -> tl.tensor:
    """Logarithms after weighting by rank**-beta; minus infinity outside."""
    x = tl.load(logs + at, mask=inside, other=float("-inf"))
    if TEMPERED:
        x -= beta * tl.load(log_ranks + at, mask=inside, other=0.0)
    return x
