"""Counting the magnitudes of many CUDA tensors in one launch of a Triton kernel.

Only `htga.tail.counting` and `htga.tail.triton_sketch` import this, and only where Triton works.

Each program counts a segment privately into a window of 256 bins, as many as a GPU counts quickly
in registers and shared memory; nearly all of a gradient's magnitudes lie within. What falls outside
goes to the global counts one by one. Counts are integers, so neither the window nor the order in
which programs finish can change a bit of the result. On the way, if asked, it adds up squares and
keeps the large magnitudes, so that all of a sketch comes from one read.
"""

from __future__ import annotations

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

from htga.tail.histogram.counting import READABLE
from htga.tail.histogram.triton_segments import BLOCK, magnitude, pointer, segments_of
from htga.tail.triton.launch import launch

WINDOW = 256
"""Bins that a program counts privately."""

INFINITY = tl.constexpr(0x7F800000)
"""Bits of the infinite float32: those of every finite one are below."""

# Where in the notes of a sketch is how many magnitudes were kept, the bits that theirs are not
# below, how many were collected otherwise, and the bits that theirs are above.
KEPT, FLOOR, COLLECTED, LAST = (tl.constexpr(i) for i in range(3, 7))
NOTES = 8
"""Room for all notes."""


def count_into(state: Tensor, parts: Sequence[Tensor], bits: int) -> None:
    """Add the counts of flat tensors to a state of `htga.tail.counting`, without waiting.

    One launch for each dtype among them.

    Args:
        state: int64 of shape [255 * 2**bits + 2], on the device of the parts.
        parts: Contiguous, float32 or narrower.
        bits: Mantissa bits.
    """
    readable = [part if part.dtype in READABLE else part.float() for part in parts]
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
            LOOKING=False,
            KEEPING=False,
            BITS=bits,
            BLOCK=BLOCK,
            WINDOW=WINDOW,
        )


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def kernel(  # noqa: PLR0917 (Triton binds by position)
    table: tl.tensor,
    n_segments: tl.tensor,
    state: tl.tensor,
    scales: tl.tensor,
    squares: tl.tensor,
    notes: tl.tensor,
    room: tl.tensor,
    capacity: tl.tensor,
    stride: tl.tensor,
    DTYPE: tl.constexpr,  # noqa: N803
    SCALED: tl.constexpr,  # noqa: N803
    LOOKING: tl.constexpr,  # noqa: N803
    KEEPING: tl.constexpr,  # noqa: N803
    BITS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    WINDOW: tl.constexpr,  # noqa: N803
) -> None:
    """Count every `stride`-th entry of one segment, the one of this program, into `state`.

    If `LOOKING`, leave the sum of its squares, too. If `KEEPING`, put the finite magnitudes whose
    bits are not below the floor that is noted into `room`, as many as there is room for, and note
    how many there are.
    """
    bins: tl.constexpr = 255 << BITS
    segment = tl.program_id(0)
    length = tl.load(table + n_segments + segment).to(tl.int32) // stride
    x = pointer(table, DTYPE)
    lane = tl.arange(0, BLOCK)

    # A quarter of the window lies above the largest entry of the first block, because a heavy tail
    # brings larger ones later.
    value = magnitude(x, lane * stride, lane < length, table, n_segments, scales, SCALED)
    index = value.to(tl.int32, bitcast=True) >> (23 - BITS)
    top = tl.max(tl.where(index < bins, index, 0))
    base = tl.maximum(tl.minimum(top - WINDOW * 3 // 4, bins - WINDOW), 0)

    private = tl.zeros([WINDOW], dtype=tl.int32)
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
        near = (place > 0) & (place < WINDOW) & (index < bins)
        # The first bin of the window is where all goes that is not the window's; none reads it.
        private += tl.histogram(tl.where(near & inside, place, 0), WINDOW)
        # Behind the bins come the zeros, counted above, and then all that is not finite.
        slot = tl.where(index < bins, index, bins + 1)
        far = inside & (near == 0) & (zero == 0)
        tl.atomic_add(state + slot, tl.full([BLOCK], 1, tl.int64), mask=far, sem="relaxed")
        if LOOKING:
            wide = value.to(tl.float64)
            total += wide * wide
        if KEEPING:
            floor = tl.load(notes + FLOOR).to(tl.int32)
            large = inside & (pattern >= floor) & (pattern < INFINITY)
            keep(value, large, room, notes + KEPT, capacity)
    slot = tl.arange(0, WINDOW)
    used = (slot > 0) & (private > 0)
    tl.atomic_add(state + base + slot, private.to(tl.int64), mask=used, sem="relaxed")
    tl.atomic_add(state + bins, tl.sum(zeros).to(tl.int64), sem="relaxed")
    if LOOKING:
        tl.store(squares + segment, tl.sum(total))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def keep(
    value: tl.tensor, large: tl.tensor, room: tl.tensor, kept: tl.tensor, capacity: tl.tensor
) -> None:
    """Put those of the values that are large into the next free places, while there are any."""
    chosen = large.to(tl.int32)
    number = tl.sum(chosen)
    if number > 0:
        place = tl.atomic_add(kept, number.to(tl.int64), sem="relaxed") + tl.cumsum(chosen, 0) - 1
        tl.store(room + place, value, mask=large & (place < capacity))
