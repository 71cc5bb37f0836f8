"""Rank weights in two launches of Triton kernels, from what the controller has left.

`htga.optim.rank_weights` says the same in small operations; the tests hold both to the same
numbers. The first programs of each launch share the largest magnitudes, the others the table.
"""

from __future__ import annotations

import triton
import triton.language as tl

from htga.optim.rank_weights import CAPPED, STEEP
from htga.optim.triton_control import (
    BEYOND,
    CORNER,
    FIRST,
    FLOOR,
    LOG_CORNER,
    LOG_KNOWN,
    SQUARES,
    START,
    TOTAL,
)
from htga.tail.triton_estimate import PROGRAMS, added

TOP = tl.constexpr(CAPPED)
STEEPEST = tl.constexpr(STEEP)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def weights_kernel(  # noqa: PLR0915, PLR0917 (one launch; Triton binds by position)
    largest: tl.tensor,
    m: tl.tensor,
    span: tl.tensor,
    programs: tl.tensor,
    d: tl.tensor,
    options: tl.tensor,
    beta: tl.tensor,
    notes: tl.tensor,
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
    """Weights as yet without caps and of no particular size, and what they add up to.

    Each program leaves a column in `sums`: of the largest magnitudes, those of the weights, of
    the squares after and of those before; of the table, of the weights of all entries, and of the
    squares after and before by its model. In `top` are, by program, the squares of the greatest
    products and where they are.
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
        low, high, lower, upper = ranks_of(entry, inside, notes, above, coarse, fine, BINS, EDGES)
        at_lower = tl.minimum(tl.exp(power * tl.log(lower / d)), w_max)
        at_upper = tl.minimum(tl.exp(power * tl.log(upper / d)), w_max)
        known = tl.load(notes + FIRST)
        held = tl.where(inside, tl.maximum(low, known) - tl.maximum(high, known), 0.0)
        weight = (at_lower + at_upper) / 2
        edge = tl.load(edges + entry, mask=inside, other=0.0)
        edge += tl.load(edges + entry + 1, mask=inside, other=0.0)
        third = held * (edge / 2) * (edge / 2)
        first, second = held * weight, third * weight * weight
        # Beyond are the bit patterns of infinities and NaNs, which no weight makes finite.
        rises = (at_upper - at_lower) * (1.0 / (1 << (23 - BITS)))
        tl.store(level + entry, tl.where(inside, at_lower, 1.0).to(tl.float32), mask=entry < ROOM)
        tl.store(rise + entry, tl.where(inside, rises, 1.0).to(tl.float32), mask=entry < ROOM)
    tl.store(sums + program, tl.sum(first))
    tl.store(sums + columns + program, tl.sum(second))
    tl.store(sums + 2 * columns + program, tl.sum(third))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def greatest(
    peaks: tl.tensor, places: tl.tensor, values: tl.tensor, at: tl.tensor, m: tl.tensor
) -> tuple[tl.tensor, tl.tensor]:
    """The greatest of some peaks and some more values, in falling order, and their places."""
    slot = tl.arange(0, TOP)
    new_peaks, new_places = peaks, places
    for j in tl.static_range(TOP):
        here, there = tl.max(values), tl.max(peaks)
        is_here = here > there
        which = tl.where(is_here, tl.min(tl.where(values == here, at, m)), m)
        other = tl.where(is_here, TOP, tl.min(tl.where(peaks == there, slot, TOP)))
        place = tl.where(is_here, which, tl.sum(tl.where(slot == other, places, 0)))
        new_peaks = tl.where(slot == j, tl.maximum(here, there), new_peaks)
        new_places = tl.where(slot == j, place, new_places)
        values = tl.where(at == which, -1, values)
        peaks = tl.where(slot == other, -1, peaks)
    return new_peaks, new_places


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def ranks_of(  # noqa: PLR0917 (Triton binds by position)
    entry: tl.tensor,
    inside: tl.tensor,
    notes: tl.tensor,
    above: tl.tensor,
    coarse: tl.tensor,
    fine: tl.tensor,
    BINS: tl.constexpr,  # noqa: N803
    EDGES: tl.constexpr,  # noqa: N803
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Ranks at both edges of the table's bins, and as `_without_steps` leaves them."""
    step: tl.constexpr = EDGES // BINS
    bin_ = entry // step
    low = rank_at(entry, inside, notes, above, coarse, fine, BINS, EDGES)
    high = rank_at(entry + 1, inside, notes, above, coarse, fine, BINS, EDGES)
    at_bin = rank_at(bin_ * step, inside, notes, above, coarse, fine, BINS, EDGES)
    at_next = rank_at((bin_ + 1) * step, inside, notes, above, coarse, fine, BINS, EDGES)
    width = tl.load(coarse + bin_ + 1, mask=inside, other=1.0)
    width -= tl.load(coarse + bin_, mask=inside, other=0.0)
    tied = tl.log(at_bin) - tl.log(at_next) > STEEPEST * width
    middle = (at_bin + at_next) / 2
    return low, high, tl.where(tied, middle, low), tl.where(tied, middle, high)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def average_rank(  # noqa: PLR0917 (Triton binds by position)
    largest: tl.tensor,
    m: tl.tensor,
    at: tl.tensor,
    inside: tl.tensor,
    value: tl.tensor,
    HALVINGS: tl.constexpr,  # noqa: N803
) -> tl.tensor:
    """Ranks of falling magnitudes, 1 for the largest, those of equal ones averaged."""
    before = tl.load(largest + at - 1, mask=inside & (at > 0), other=float("inf"))
    after = tl.load(largest + at + 1, mask=at + 1 < m, other=-1.0)
    tied = inside & ((before == value) | (after == value))
    rank = (at + 1).to(tl.float64)
    if tl.max(tied.to(tl.int32), 0) > 0:
        greater = how_many(largest, m, value, tied, True, HALVINGS)
        no_less = how_many(largest, m, value, tied, False, HALVINGS)
        rank = tl.where(tied, (greater + no_less + 1) / 2, rank)
    return rank


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def how_many(  # noqa: PLR0917 (Triton binds by position)
    largest: tl.tensor,
    m: tl.tensor,
    value: tl.tensor,
    asked: tl.tensor,
    GREATER: tl.constexpr,  # noqa: N803
    HALVINGS: tl.constexpr,  # noqa: N803
) -> tl.tensor:
    """How many of falling magnitudes are greater than a value, or else not less, int32."""
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
def rank_at(  # noqa: PLR0917 (Triton binds by position)
    edge: tl.tensor,
    inside: tl.tensor,
    notes: tl.tensor,
    above: tl.tensor,
    coarse: tl.tensor,
    fine: tl.tensor,
    BINS: tl.constexpr,  # noqa: N803
    EDGES: tl.constexpr,  # noqa: N803
) -> tl.tensor:
    """The rank at an edge of the table, as `htga.optim.rank_weights._rank_at_edges` has it."""
    bin_ = tl.minimum(edge // (EDGES // BINS), BINS - 1)
    log_rank = tl.log(tl.load(above + bin_, mask=inside, other=0.0) + 0.5)
    falls = tl.log(tl.load(above + bin_ + 1, mask=inside, other=0.0) + 0.5) - log_rank
    log_lower = tl.load(coarse + bin_, mask=inside, other=0.0)
    width = tl.load(coarse + bin_ + 1, mask=inside, other=1.0) - log_lower
    log_edge = tl.load(fine + edge, mask=inside, other=0.0)
    rank = tl.exp(log_rank + falls / width * (log_edge - log_lower))
    rank = tl.where(edge == EDGES, 0.5, rank)
    # In the bin where the exact ranks begin, theirs is the nearer point to aim at.
    start, log_corner = tl.load(notes + START), tl.load(notes + LOG_CORNER)
    span = tl.load(notes + LOG_KNOWN) - log_corner
    falls_to = tl.log(tl.load(notes + FIRST) / start)
    aimed = start * tl.exp((log_edge - log_corner) / span * falls_to)
    aims = (edge >= tl.load(notes + CORNER)) & (edge <= tl.load(notes + BEYOND))
    return tl.maximum(tl.where(aims, aimed, rank), tl.load(notes + FLOOR))


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
    notes: tl.tensor,
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
    """Cap the weights, bring them to their size, and leave logarithms of the largest products.

    Every program finds the cap and the size for itself, which saves a launch.
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
            tl.store(notes + TOTAL, total * factor)
            tl.store(notes + SQUARES, after * factor * factor)
    else:
        entry = (program - programs) * BLOCK + lane
        inside = entry < ROOM
        lower, rises = tl.load(level + entry, mask=inside), tl.load(rise + entry, mask=inside)
        tl.store(level + entry, (lower * factor).to(tl.float32), mask=inside)
        tl.store(rise + entry, (rises * factor).to(tl.float32), mask=inside)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def cap(  # noqa: PLR0917 (Triton binds by position)
    top: tl.tensor,
    programs: tl.tensor,
    rising: tl.tensor,
    m: tl.tensor,
    of_largest: tl.tensor,
    rest: tl.tensor,
    before: tl.tensor,
    share: tl.tensor,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """As `htga.optim.rank_weights.cap`.

    Returns:
        The limit, and what it takes from the sum of the weights and from that of the squares.
    """
    lane = tl.arange(0, PROGRAMS * TOP)
    there = lane < programs * TOP
    left = tl.load(top + lane, mask=there, other=-1.0)
    places = tl.load(top + programs * TOP + lane, mask=there, other=0.0)
    slot = tl.arange(0, TOP)
    peaks = tl.full([TOP], -1, tl.float64)
    at = tl.zeros([TOP], dtype=tl.int32)
    for j in tl.static_range(TOP):
        peak = tl.max(left)
        which = tl.min(tl.where(left == peak, lane, PROGRAMS * TOP))
        place = tl.sum(tl.where(lane == which, places, 0.0)).to(tl.int32)
        peaks, at = tl.where(slot == j, peak, peaks), tl.where(slot == j, place, at)
        left = tl.where(lane == which, -1, left)
    is_there = peaks >= 0
    peaks = tl.where(is_there, peaks, 0.0)
    others = of_largest + rest - (tl.cumsum(peaks, 0) - peaks)
    largest = tl.load(rising + m - 1)
    allowed = largest * largest / before * (1 + 1e-9)
    allowed = tl.maximum(tl.where(allowed == allowed, allowed, 1.0), share)  # noqa: PLR0124
    room = 1 - allowed * slot
    limits = tl.where(room > 0, allowed * others / room, float("inf"))
    first = tl.min(tl.where(is_there & (peaks <= limits), slot, TOP))
    binds = (first > 0) & (first < TOP)
    square = tl.where(binds, tl.sum(tl.where(slot == first, limits, 0.0)), float("inf"))
    limit = tl.sqrt(square)
    cut = is_there & (peaks > square)
    value = tl.load(rising + m - 1 - at, mask=cut, other=1.0)
    lost_total = tl.sum(tl.where(cut, (tl.sqrt(peaks) - limit) / value, 0.0))
    return limit, lost_total, tl.sum(tl.where(cut, peaks - square, 0.0))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def ratio(wanted: tl.tensor, found: tl.tensor) -> tl.tensor:
    """As `htga.optim.rank_weights._ratio`."""
    rounded = (wanted / found).to(tl.float32).to(tl.float64)
    return tl.where((rounded > 0) & (rounded < float("inf")), rounded, 1.0)
