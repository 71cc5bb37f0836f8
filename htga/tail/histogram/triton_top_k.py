"""Kernels that find the largest magnitudes, by an estimated floor or digit by digit."""

from __future__ import annotations

import triton
import triton.language as tl

from htga.tail.histogram.triton_counting import COLLECTED, FLOOR, INFINITY, KEPT, LAST, keep
from htga.tail.histogram.triton_segments import magnitude, pointer

DIGIT = 12
"""Bits of a magnitude that are found in the first pass; the second finds the rest."""

# Slots of the scratch buffer: whether a search is needed, the leading bits known so far, and how
# many of the entries that begin with them are wanted.
MISSED, PREFIX, WANTED = (tl.constexpr(i) for i in range(3))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def floor_kernel(
    state: tl.tensor,
    scratch: tl.tensor,
    wanted: tl.tensor,
    BITS: tl.constexpr,  # noqa: N803 (Triton's custom for constants)
) -> None:
    """Store the highest edge with `wanted` entries of a sample at or above it."""
    first, _ = edge_of(state, wanted, BITS)
    # Zeros never count as large.
    tl.store(scratch + FLOOR, tl.maximum(first << (23 - BITS), 1).to(tl.int64))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def verdict_kernel(
    state: tl.tensor,
    scratch: tl.tensor,
    size: tl.tensor,
    capacity: tl.tensor,
    BITS: tl.constexpr,  # noqa: N803
) -> None:
    """Store whether the floor was wrong, and the bin of the `size`-th largest magnitude."""
    first, above = edge_of(state, size, BITS)
    lane = tl.arange(0, 256 << BITS)
    n = tl.sum(tl.load(state + lane, mask=lane < (255 << BITS), other=0))
    kept = tl.load(scratch + KEPT)
    missed = (kept > capacity) | (kept < tl.minimum(n, size))
    tl.store(scratch + MISSED, missed.to(tl.int64))
    tl.store(scratch + PREFIX, first.to(tl.int64))
    tl.store(scratch + WANTED, size - above)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def edge_of(
    state: tl.tensor,
    wanted: tl.tensor,
    BITS: tl.constexpr,  # noqa: N803
) -> tuple[tl.tensor, tl.tensor]:
    """The highest bin with `wanted` entries in it and above, and the number of entries above it."""
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
    scratch: tl.tensor,
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
    """Count the next digit of the magnitudes that begin with the known bits, if a search is needed.

    The pass for the first digit also clears `room`.
    """
    if tl.load(scratch + MISSED) != 0:
        known, wanted = tl.load(scratch + PREFIX), tl.load(scratch + WANTED)
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
            # The slot behind the digits collects the other magnitudes.
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
    """Extend the known bits by the digit of the wanted magnitude; also returns its rank there."""
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
    scratch: tl.tensor,
    digits: tl.tensor,
    room: tl.tensor,
    capacity: tl.tensor,
    DTYPE: tl.constexpr,  # noqa: N803
    SCALED: tl.constexpr,  # noqa: N803
    LEFT: tl.constexpr,  # noqa: N803
    DIGIT: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Store the finite magnitudes above the wanted one, and it in LAST, if a search is needed."""
    if tl.load(scratch + MISSED) != 0:
        known, wanted = chosen(digits, tl.load(scratch + PREFIX), tl.load(scratch + WANTED), DIGIT)
        known, wanted = chosen(digits + (1 << DIGIT), known, wanted, LEFT - DIGIT)
        bits = known.to(tl.int32)
        # All programs store the same value.
        tl.store(scratch + LAST, known)
        length = tl.load(table + n_segments + tl.program_id(0)).to(tl.int32)
        x = pointer(table, DTYPE)
        lane = tl.arange(0, BLOCK)
        for start in range(0, length, BLOCK):
            at = start + lane
            inside = at < length
            value = magnitude(x, at, inside, table, n_segments, scales, SCALED)
            pattern = value.to(tl.int32, bitcast=True)
            large = inside & (pattern > bits) & (pattern < INFINITY)
            keep(value, large, room, scratch + COLLECTED, capacity)
