"""Ranks of magnitudes, exact for the largest and interpolated at the edges of a table's bins."""

from __future__ import annotations

import triton
import triton.language as tl

from htga.optim.constants import MAX_TAIL_INDEX
from htga.optim.kernels.scratch_layout import (
    BEYOND,
    CORNER,
    FIRST,
    FLOOR,
    LOG_CORNER,
    LOG_KNOWN,
    START,
)

STEEPEST = tl.constexpr(MAX_TAIL_INDEX)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def average_rank(  # noqa: PLR0917 (Triton binds by position)
    largest: tl.tensor,
    m: tl.tensor,
    at: tl.tensor,
    inside: tl.tensor,
    value: tl.tensor,
    HALVINGS: tl.constexpr,  # noqa: N803
) -> tl.tensor:
    """Ranks of falling magnitudes, 1 for the largest; equal magnitudes get their average."""
    before = tl.load(largest + at - 1, mask=inside & (at > 0), other=float("inf"))
    after = tl.load(largest + at + 1, mask=at + 1 < m, other=-1.0)
    tied = inside & ((before == value) | (after == value))
    rank = (at + 1).to(tl.float64)
    if tl.max(tied.to(tl.int32), 0) > 0:
        greater = count_greater(largest, m, value, tied, True, HALVINGS)
        no_less = count_greater(largest, m, value, tied, False, HALVINGS)
        rank = tl.where(tied, (greater + no_less + 1) / 2, rank)
    return rank


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def count_greater(  # noqa: PLR0917 (Triton binds by position)
    largest: tl.tensor,
    m: tl.tensor,
    value: tl.tensor,
    asked: tl.tensor,
    GREATER: tl.constexpr,  # noqa: N803
    HALVINGS: tl.constexpr,  # noqa: N803
) -> tl.tensor:
    """Number of falling magnitudes that are greater than a value, or not less, int32."""
    low = tl.zeros(value.shape, dtype=tl.int32)
    high = low + m
    for _ in tl.static_range(HALVINGS):
        middle = (low + high) // 2
        open_ = asked & (low < high)
        there = tl.load(largest + middle, mask=open_, other=0.0)
        counts = open_ & ((there > value) if GREATER else (there >= value))
        low = tl.where(counts, middle + 1, low)
        high = tl.where(open_ & (counts == 0), middle, high)
    return low


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def ranks_of(  # noqa: PLR0917 (Triton binds by position)
    entry: tl.tensor,
    inside: tl.tensor,
    scratch: tl.tensor,
    above: tl.tensor,
    coarse: tl.tensor,
    fine: tl.tensor,
    BINS: tl.constexpr,  # noqa: N803
    EDGES: tl.constexpr,  # noqa: N803
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Ranks at both edges of the table's bins, before and after `_without_steps`."""
    step: tl.constexpr = EDGES // BINS
    bin_ = entry // step
    low = rank_at(entry, inside, scratch, above, coarse, fine, BINS, EDGES)
    high = rank_at(entry + 1, inside, scratch, above, coarse, fine, BINS, EDGES)
    at_bin = rank_at(bin_ * step, inside, scratch, above, coarse, fine, BINS, EDGES)
    at_next = rank_at((bin_ + 1) * step, inside, scratch, above, coarse, fine, BINS, EDGES)
    width = tl.load(coarse + bin_ + 1, mask=inside, other=1.0)
    width -= tl.load(coarse + bin_, mask=inside, other=0.0)
    tied = tl.log(at_bin) - tl.log(at_next) > STEEPEST * width
    middle = (at_bin + at_next) / 2
    return low, high, tl.where(tied, middle, low), tl.where(tied, middle, high)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def rank_at(  # noqa: PLR0917 (Triton binds by position)
    edge: tl.tensor,
    inside: tl.tensor,
    scratch: tl.tensor,
    above: tl.tensor,
    coarse: tl.tensor,
    fine: tl.tensor,
    BINS: tl.constexpr,  # noqa: N803
    EDGES: tl.constexpr,  # noqa: N803
) -> tl.tensor:
    """The rank at an edge of the table, as in `rank_weights._rank_at_edges`."""
    bin_ = tl.minimum(edge // (EDGES // BINS), BINS - 1)
    log_rank = tl.log(tl.load(above + bin_, mask=inside, other=0.0) + 0.5)
    falls = tl.log(tl.load(above + bin_ + 1, mask=inside, other=0.0) + 0.5) - log_rank
    log_lower = tl.load(coarse + bin_, mask=inside, other=0.0)
    width = tl.load(coarse + bin_ + 1, mask=inside, other=1.0) - log_lower
    log_edge = tl.load(fine + edge, mask=inside, other=0.0)
    rank = tl.exp(log_rank + falls / width * (log_edge - log_lower))
    rank = tl.where(edge == EDGES, 0.5, rank)
    # In the bin where the exact ranks begin, interpolate towards the first of them.
    start, log_corner = tl.load(scratch + START), tl.load(scratch + LOG_CORNER)
    span = tl.load(scratch + LOG_KNOWN) - log_corner
    falls_to = tl.log(tl.load(scratch + FIRST) / start)
    aimed = start * tl.exp((log_edge - log_corner) / span * falls_to)
    aims = (edge >= tl.load(scratch + CORNER)) & (edge <= tl.load(scratch + BEYOND))
    return tl.maximum(tl.where(aims, aimed, rank), tl.load(scratch + FLOOR))
