"""Counting of the magnitudes of many CUDA tensors in one launch of a Triton kernel.

Imported only where Triton works.

Each program counts a segment privately into 256 bins, as many as a GPU counts quickly in registers
and shared memory; nearly all of a gradient's magnitudes lie within. The others go to the global
counts one by one. Counts are integers, so neither the private bins nor the order in which programs
finish can change a bit of the result. The kernel can also add up squares and keep the large
magnitudes, so that a sketch takes one read.
"""

from __future__ import annotations

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

from htga.tail.flat_tensors import TRITON_DTYPES
from htga.tail.histogram.triton_segments import BLOCK, magnitude, pointer, segments_of
from htga.tail.triton.launch import launch

PRIVATE_BINS = 256
"""Bins that a program counts privately."""

INFINITY = tl.constexpr(0x7F800000)
"""Bits of the infinite float32; those of every finite one are below."""

# Slots of the scratch buffer: the number of magnitudes kept and the smallest bits they may have;
# the number of magnitudes collected in a second pass, and the bits that all of those exceed.
KEPT, FLOOR, COLLECTED, LAST = (tl.constexpr(i) for i in range(3, 7))
SCRATCH_SIZE = 8
"""Number of slots."""


def count_into(state: Tensor, parts: Sequence[Tensor], bits: int) -> None:
    """Add the counts of flat tensors to a state of `htga.tail.histogram.counting`, without waiting.

    One launch for each dtype among them.

    Args:
        state: int64 of shape [255 * 2**bits + 2], on the device of the parts.
        parts: Contiguous, float32 or narrower.
        bits: Mantissa bits.
    """
    readable = [part if part.dtype in TRITON_DTYPES else part.float() for part in parts]
    for some in segments_of(readable):
        launch(
            kernel,
            some.programs,
            some.table,
            some.programs,
            state,
            *[state] * 4,
            0,
            1,
            DTYPE=some.dtype,
            SCALED=False,
            SQUARING=False,
            KEEPING=False,
            BITS=bits,
            BLOCK=BLOCK,
            PRIVATE_BINS=PRIVATE_BINS,
        )


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def kernel(  # noqa: PLR0917 (Triton binds by position)
    table: tl.tensor,
    n_segments: tl.tensor,
    state: tl.tensor,
    scales: tl.tensor,
    squares: tl.tensor,
    scratch: tl.tensor,
    room: tl.tensor,
    capacity: tl.tensor,
    stride: tl.tensor,
    DTYPE: tl.constexpr,  # noqa: N803
    SCALED: tl.constexpr,  # noqa: N803
    SQUARING: tl.constexpr,  # noqa: N803
    KEEPING: tl.constexpr,  # noqa: N803
    BITS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    PRIVATE_BINS: tl.constexpr,  # noqa: N803
) -> None:
    """Count every `stride`-th entry of one segment, the one of this program, into `state`.

    If `SQUARING`, store the sum of its squares, too. If `KEEPING`, store the finite magnitudes
    whose bits are not below FLOOR into `room`, up to its capacity, and count them in KEPT.
    """
    bins: tl.constexpr = 255 << BITS
    segment = tl.program_id(0)
    length = tl.load(table + n_segments + segment).to(tl.int32) // stride
    x = pointer(table, DTYPE)
    lane = tl.arange(0, BLOCK)

    # A quarter of the private bins lies above the largest entry of the first block, because a heavy
    # tail brings larger ones later.
    value = magnitude(x, lane * stride, lane < length, table, n_segments, scales, SCALED)
    index = value.to(tl.int32, bitcast=True) >> (23 - BITS)
    top = tl.max(tl.where(index < bins, index, 0))
    base = tl.maximum(tl.minimum(top - PRIVATE_BINS * 3 // 4, bins - PRIVATE_BINS), 0)

    private = tl.zeros([PRIVATE_BINS], dtype=tl.int32)
    zeros = tl.zeros([BLOCK], dtype=tl.int32)
    total = tl.zeros([BLOCK], dtype=tl.float64)
    for start in range(0, length, BLOCK):
        at = start + lane
        inside = at < length
        value = magnitude(x, at * stride, inside, table, n_segments, scales, SCALED)
        pattern = value.to(tl.int32, bitcast=True)
        zero = pattern == 0
        zeros += (inside & zero).to(tl.int32)
        index = pattern >> (23 - BITS)
        place = index - base
        near = (place > 0) & (place < PRIVATE_BINS) & (index < bins)
        # The first private bin collects all entries that belong to no private bin; none reads it.
        private += tl.histogram(tl.where(near & inside, place, 0), PRIVATE_BINS)
        # Behind the bins come the zeros, counted above, and then NaNs and infinities.
        slot = tl.where(index < bins, index, bins + 1)
        far = inside & (near == 0) & (zero == 0)
        tl.atomic_add(state + slot, tl.full([BLOCK], 1, tl.int64), mask=far, sem="relaxed")
        if SQUARING:
            wide = value.to(tl.float64)
            total += wide * wide
        if KEEPING:
            floor = tl.load(scratch + FLOOR).to(tl.int32)
            large = inside & (pattern >= floor) & (pattern < INFINITY)
            keep(value, large, room, scratch + KEPT, capacity)
    slot = tl.arange(0, PRIVATE_BINS)
    used = (slot > 0) & (private > 0)
    tl.atomic_add(state + base + slot, private.to(tl.int64), mask=used, sem="relaxed")
    tl.atomic_add(state + bins, tl.sum(zeros).to(tl.int64), sem="relaxed")
    if SQUARING:
        tl.store(squares + segment, tl.sum(total))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def keep(
    value: tl.tensor, large: tl.tensor, room: tl.tensor, kept: tl.tensor, capacity: tl.tensor
) -> None:
    """Store the large values in the next free places, while there are any."""
    chosen = large.to(tl.int32)
    number = tl.sum(chosen)
    if number > 0:
        place = tl.atomic_add(kept, number.to(tl.int64), sem="relaxed") + tl.cumsum(chosen, 0) - 1
        tl.store(room + place, value, mask=large & (place < capacity))
