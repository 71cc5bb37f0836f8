"""Rank weights in two launches of Triton kernels, after the controller's kernel.

`htga.optim.weights.rank_weights` does the same in small operations; the tests check that both give
the same numbers. The first programs of each launch share the largest magnitudes, the others the
table.
"""

from __future__ import annotations

import triton
import triton.language as tl

from htga.optim.kernels.cap import TOP, cap, greatest
from htga.optim.kernels.ranks import average_rank, ranks_of
from htga.optim.kernels.scratch_layout import FIRST, SQUARES, TOTAL
from htga.tail.estimators.triton_excesses import added


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def weights_kernel(  # noqa: PLR0915, PLR0917 (one launch; Triton binds by position)
    largest: tl.tensor,
    m: tl.tensor,
    span: tl.tensor,
    programs: tl.tensor,
    d: tl.tensor,
    options: tl.tensor,
    beta: tl.tensor,
    scratch: tl.tensor,
    above: tl.tensor,
    coarse: tl.tensor,
    fine: tl.tensor,
    edges: tl.tensor,
    level: tl.tensor,
    rise: tl.tensor,
    rising: tl.tensor,
    exact: tl.tensor,
    sums: tl.tensor,
    top: tl.tensor,
    CAPS: tl.constexpr,  # noqa: N803 (Triton's custom for constants)
    HALVINGS: tl.constexpr,  # noqa: N803
    BINS: tl.constexpr,  # noqa: N803
    EDGES: tl.constexpr,  # noqa: N803
    ROOM: tl.constexpr,  # noqa: N803
    BITS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Compute weights without caps and before normalisation, and their sums.

    Each program stores a column in `sums`: the sum of the weights, and the sums of the squares
    after and before weighting, of its share of the largest magnitudes or, by model, of the table.
    It stores the squares of its greatest products and their places in `top`.
    """
    power, w_max = -tl.load(beta), tl.load(options + 9)
    program, columns = tl.program_id(0), tl.num_programs(0)
    lane = tl.arange(0, BLOCK)
    first = tl.zeros([BLOCK], dtype=tl.float64)
    second = tl.zeros([BLOCK], dtype=tl.float64)
    third = tl.zeros([BLOCK], dtype=tl.float64)
    if program < programs:
        smallest = tl.load(largest + m - 1)
        slot = tl.arange(0, TOP)
        peaks = tl.full([TOP], -1, tl.float64)
        places = tl.zeros([TOP], dtype=tl.int32)
        begin = program * span
        for start in range(begin, tl.minimum(begin + span, m), BLOCK):
            at = start + lane
            inside = at < m
            value = tl.load(largest + at, mask=inside, other=0.0)
            rank = average_rank(largest, m, at, inside, value, HALVINGS)
            weight = tl.minimum(tl.exp(power * tl.log(rank / d)), w_max)
            ranked = inside & (value > smallest)
            plain = tl.where(ranked, value, 0.0)
            square = plain * weight * plain * weight
            first += tl.where(ranked, weight, 0.0)
            second += square
            third += plain * plain
            tl.store(rising + m - 1 - at, value, mask=inside)
            tl.store(exact + m - 1 - at, weight, mask=inside)
            if CAPS:
                square = tl.where(inside, square, -1)
                if tl.max(square) > tl.min(peaks):
                    peaks, places = greatest(peaks, places, square, at, m)
        if CAPS:
            tl.store(top + program * TOP + slot, peaks)
            tl.store(top + (programs + program) * TOP + slot, places.to(tl.float64))
    else:
        entry = (program - programs) * BLOCK + lane
        inside = entry < EDGES
        low, high, lower, upper = ranks_of(entry, inside, scratch, above, coarse, fine, BINS, EDGES)
        at_lower = tl.minimum(tl.exp(power * tl.log(lower / d)), w_max)
        at_upper = tl.minimum(tl.exp(power * tl.log(upper / d)), w_max)
        known = tl.load(scratch + FIRST)
        held = tl.where(inside, tl.maximum(low, known) - tl.maximum(high, known), 0.0)
        weight = (at_lower + at_upper) / 2
        edge = tl.load(edges + entry, mask=inside, other=0.0)
        edge += tl.load(edges + entry + 1, mask=inside, other=0.0)
        third = held * (edge / 2) * (edge / 2)
        first, second = held * weight, third * weight * weight
        # The entries beyond belong to infinities and NaNs, which no weight makes finite.
        rises = (at_upper - at_lower) * (1.0 / (1 << (23 - BITS)))
        tl.store(level + entry, tl.where(inside, at_lower, 1.0).to(tl.float32), mask=entry < ROOM)
        tl.store(rise + entry, tl.where(inside, rises, 1.0).to(tl.float32), mask=entry < ROOM)
    tl.store(sums + program, tl.sum(first))
    tl.store(sums + columns + program, tl.sum(second))
    tl.store(sums + 2 * columns + program, tl.sum(third))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def sizes_kernel(  # noqa: PLR0917 (Triton binds by position)
    rising: tl.tensor,
    m: tl.tensor,
    span: tl.tensor,
    programs: tl.tensor,
    options: tl.tensor,
    counts: tl.tensor,
    seen: tl.tensor,
    gamma: tl.tensor,
    scratch: tl.tensor,
    level: tl.tensor,
    rise: tl.tensor,
    exact: tl.tensor,
    sums: tl.tensor,
    top: tl.tensor,
    logs: tl.tensor,
    log_sums: tl.tensor,
    NORMALIZE: tl.constexpr,  # noqa: N803
    CAPS: tl.constexpr,  # noqa: N803
    ROOM: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Cap and normalise the weights, and store the logarithms of the largest products.

    Every program computes the cap and the size for itself, which saves a launch.
    """
    columns = tl.num_programs(0)
    others = columns - programs
    squares = tl.load(seen)
    total = added(sums, programs)
    of_largest = added(sums + columns, programs)
    rest = tl.maximum(squares - added(sums + 2 * columns, programs), 0.0)
    by_model = added(sums + 2 * columns + programs, others)
    grown = added(sums + columns + programs, others) / by_model
    rest *= tl.where(grown == grown, grown, 1.0)  # noqa: PLR0124 (a NaN equals nothing)
    limit = tl.full([], float("inf"), tl.float64)
    if CAPS:
        share = tl.load(options + 10)
        limit, lost_total, lost_squares = cap(
            top, programs, rising, m, of_largest, rest, squares, share
        )
        total -= lost_total
        of_largest -= lost_squares
    total += added(sums + programs, others)
    after = of_largest + rest
    factor = tl.load(gamma)
    if NORMALIZE == "mean_one":
        factor *= ratio(tl.load(counts + 1).to(tl.float64), total)
    elif NORMALIZE == "l2":
        factor *= tl.sqrt(ratio(squares, after))
    program = tl.program_id(0)
    lane = tl.arange(0, BLOCK)
    if program < programs:
        k = tl.load(counts)
        smallest = tl.load(rising)
        in_tail = tl.zeros([BLOCK], dtype=tl.float64)
        begin = program * span
        for start in range(begin, tl.minimum(begin + span, m), BLOCK):
            at = start + lane
            inside = at < m
            value = tl.load(rising + m - 1 - at, mask=inside, other=0.0)
            weight = tl.load(exact + m - 1 - at, mask=inside, other=0.0)
            weight = tl.where(value > smallest, tl.minimum(weight, limit / value), weight)
            log_product = tl.log(value * weight)
            in_tail += tl.where(at < k, log_product, 0.0)
            tl.store(logs + at, log_product, mask=inside)
            tl.store(exact + m - 1 - at, weight * factor, mask=inside)
        tl.store(log_sums + program, tl.sum(in_tail))
        if program == 0:
            tl.store(scratch + TOTAL, total * factor)
            tl.store(scratch + SQUARES, after * factor * factor)
    else:
        entry = (program - programs) * BLOCK + lane
        inside = entry < ROOM
        lower, rises = tl.load(level + entry, mask=inside), tl.load(rise + entry, mask=inside)
        tl.store(level + entry, (lower * factor).to(tl.float32), mask=inside)
        tl.store(rise + entry, (rises * factor).to(tl.float32), mask=inside)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def ratio(wanted: tl.tensor, found: tl.tensor) -> tl.tensor:
    """`htga.optim.weights.rank_weights._ratio` as a kernel."""
    rounded = (wanted / found).to(tl.float32).to(tl.float64)
    return tl.where((rounded > 0) & (rounded < float("inf")), rounded, 1.0)
