"""How the kernels of a sketch find the largest magnitudes, by a guessed floor or digit by digit."""

from __future__ import annotations

import triton
import triton.language as tl

from htga.tail.histogram.triton_counting import COLLECTED, FLOOR, INFINITY, KEPT, LAST, keep
from htga.tail.histogram.triton_segments import magnitude, pointer

DIGIT = 12
"""Bits of a magnitude that are found first; what the histogram leaves then are fewer."""

# Whether there is anything to find, the bits that are known, and how many of those entries that
# begin with them are wanted: where in the notes this is.
MISSED, PREFIX, WANTED = (tl.constexpr(i) for i in range(3))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def floor_kernel(
    state: tl.tensor,
    notes: tl.tensor,
    wanted: tl.tensor,
    BITS: tl.constexpr,  # noqa: N803 (Triton's custom for constants)
) -> None:
    """Note the highest edge with so many entries of a sample at or above it."""
    first, _ = edge_of(state, wanted, BITS)
    # Zeros are no large magnitudes.
    tl.store(notes + FLOOR, tl.maximum(first << (23 - BITS), 1).to(tl.int64))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def verdict_kernel(
    state: tl.tensor,
    notes: tl.tensor,
    size: tl.tensor,
    capacity: tl.tensor,
    BITS: tl.constexpr,  # noqa: N803
) -> None:
    """Note whether the guessed floor was wrong, and in which bin the `size`-th largest is."""
    first, above = edge_of(state, size, BITS)
    lane = tl.arange(0, 256 << BITS)
    n = tl.sum(tl.load(state + lane, mask=lane < (255 << BITS), other=0))
    kept = tl.load(notes + KEPT)
    missed = (kept > capacity) | (kept < tl.minimum(n, size))
    tl.store(notes + MISSED, missed.to(tl.int64))
    tl.store(notes + PREFIX, first.to(tl.int64))
    tl.store(notes + WANTED, size - above)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def edge_of(
    state: tl.tensor,
    wanted: tl.tensor,
    BITS: tl.constexpr,  # noqa: N803
) -> tuple[tl.tensor, tl.tensor]:
    """The highest bin with so many entries in it and above, or the first; how many are above it."""
    lane = tl.arange(0, 256 << BITS)
    count = tl.load(state + lane, mask=lane < (255 << BITS), other=0)
    at_least = tl.sum(count) - tl.cumsum(count, 0) + count
    first = tl.maximum(tl.sum((at_least >= wanted).to(tl.int32)) - 1, 0)
    return first, tl.sum(tl.where(lane > first, count, 0))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def digit_kernel(  # noqa: PLR0917 (Triton binds by position)
    table: tl.tensor,
    n_segments: tl.tensor,
    scales: tl.tensor,
    notes: tl.tensor,
    digits: tl.tensor,
    room: tl.tensor,
    capacity: tl.tensor,
    DTYPE: tl.constexpr,  # noqa: N803
    SCALED: tl.constexpr,  # noqa: N803
    FIRST: tl.constexpr,  # noqa: N803
    LEFT: tl.constexpr,  # noqa: N803
    DIGIT: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Count the next digit of those magnitudes whose bits before it are known, if asked.

    On the first digit's way the room is emptied.
    """
    if tl.load(notes + MISSED) != 0:
        known, wanted = tl.load(notes + PREFIX), tl.load(notes + WANTED)
        found = digits
        lane = tl.arange(0, BLOCK)
        size: tl.constexpr = DIGIT if FIRST else LEFT - DIGIT
        shift: tl.constexpr = LEFT - DIGIT if FIRST else 0
        if FIRST:
            step = tl.num_programs(0) * BLOCK
            for start in range(tl.program_id(0) * BLOCK, capacity, step):
                tl.store(room + start + lane, 0.0, mask=start + lane < capacity)
        else:
            known, wanted = chosen(digits, known, wanted, DIGIT)
            found = digits + (1 << DIGIT)
        prefix = known.to(tl.int32)
        length = tl.load(table + n_segments + tl.program_id(0)).to(tl.int32)
        x = pointer(table, DTYPE)
        values: tl.constexpr = 1 << size
        private = tl.zeros([2 * values], dtype=tl.int32)
        for start in range(0, length, BLOCK):
            at = start + lane
            inside = at < length
            value = magnitude(x, at, inside, table, n_segments, scales, SCALED)
            bits = value.to(tl.int32, bitcast=True) >> shift
            hit = inside & ((bits >> size) == prefix)
            # Behind the digits goes what begins otherwise.
            private += tl.histogram(tl.where(hit, bits & (values - 1), values), 2 * values)
        slot = tl.arange(0, 2 * values)
        used = (slot < values) & (private > 0)
        tl.atomic_add(found + slot, private.to(tl.int64), mask=used, sem="relaxed")


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def chosen(
    found: tl.tensor,
    known: tl.tensor,
    wanted: tl.tensor,
    SIZE: tl.constexpr,  # noqa: N803
) -> tuple[tl.tensor, tl.tensor]:
    """The known bits and the digit behind them of the wanted magnitude, and what is wanted then."""
    slot = tl.arange(0, 1 << SIZE)
    count = tl.load(found + slot)
    at_least = tl.sum(count) - tl.cumsum(count, 0) + count
    digit = tl.maximum(tl.sum((at_least >= wanted).to(tl.int64)) - 1, 0)
    above = tl.sum(tl.where(slot > digit, count, 0))
    return (known << SIZE) + digit, wanted - above


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def collect_kernel(  # noqa: PLR0917 (Triton binds by position)
    table: tl.tensor,
    n_segments: tl.tensor,
    scales: tl.tensor,
    notes: tl.tensor,
    digits: tl.tensor,
    room: tl.tensor,
    capacity: tl.tensor,
    DTYPE: tl.constexpr,  # noqa: N803
    SCALED: tl.constexpr,  # noqa: N803
    LEFT: tl.constexpr,  # noqa: N803
    DIGIT: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Put the finite magnitudes above the wanted one into `room`, and note it, if asked."""
    if tl.load(notes + MISSED) != 0:
        known, wanted = chosen(digits, tl.load(notes + PREFIX), tl.load(notes + WANTED), DIGIT)
        known, wanted = chosen(digits + (1 << DIGIT), known, wanted, LEFT - DIGIT)
        bits = known.to(tl.int32)
        # All programs note the same.
        tl.store(notes + LAST, known)
        length = tl.load(table + n_segments + tl.program_id(0)).to(tl.int32)
        x = pointer(table, DTYPE)
        lane = tl.arange(0, BLOCK)
        for start in range(0, length, BLOCK):
            at = start + lane
            inside = at < length
            value = magnitude(x, at, inside, table, n_segments, scales, SCALED)
            pattern = value.to(tl.int32, bitcast=True)
            large = inside & (pattern > bits) & (pattern < INFINITY)
            keep(value, large, room, notes + COLLECTED, capacity)
