"""Counting the magnitudes of many CUDA tensors in one launch of a Triton kernel.

Only `htga.tail.counting` and `htga.tail.triton_sketch` import this, and only where Triton works.

The table of addresses makes the number of tensors irrelevant: a model's gradients are cut into
segments of about equal length, and each program counts one of them. It counts privately into a
window of 256 bins, as many as a GPU counts quickly in registers and shared memory; nearly all of a
gradient's magnitudes lie within. What falls outside goes to the global counts one by one. Counts
are integers, so neither the window nor the order in which programs finish can change a bit of the
result. On the way, if asked, it adds up squares and keeps the large magnitudes, so that all of a
sketch comes from one read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from htga.tail.counting import READABLE

BLOCK = 4096
"""Entries that a program holds at a time."""

PROGRAMS = 2048
"""About how many programs share a large model: enough to fill a device a few times over."""

WINDOW = 256
"""Bins that a program counts privately."""

INFINITY = tl.constexpr(0x7F800000)
"""Bits of the infinite float32: those of every finite one are below."""


def count_into(state: Tensor, parts: Sequence[Tensor], bits: int) -> None:
    """Add the counts of flat tensors to a state of `htga.tail.counting`, without waiting.

    One launch for each dtype among them.

    Args:
        state: int64 of shape [255 * 2**bits + 2], on the device of the parts.
        parts: Contiguous, float32 or narrower.
        bits: Mantissa bits.
    """
    readable = [part if part.dtype in READABLE else part.float() for part in parts]
    for chosen in by_dtype(readable):
        same = [readable[i] for i in chosen]
        table = segments(same)
        with torch.cuda.device_of(state):
            kernel[table.shape[1],](
                table,
                table.shape[1],
                state,
                *[state] * 5,
                0,
                1,
                DTYPE=name_of(same[0].dtype),
                SCALED=False,
                LOOKING=False,
                BITS=bits,
                BLOCK=BLOCK,
                WINDOW=WINDOW,
                # There is no arithmetic to fuse, but Triton warns if this is left open.
                enable_fp_fusion=False,
            )


def by_dtype(parts: Sequence[Tensor]) -> Iterator[list[int]]:
    """Indices of the parts of each dtype that have entries."""
    for dtype in READABLE:
        chosen = [i for i, part in enumerate(parts) if part.dtype == dtype and part.numel()]
        if chosen:
            yield chosen


def name_of(dtype: torch.dtype) -> str:
    """What the kernels call a type."""
    return str(dtype).removeprefix("torch.")


def segments(parts: Sequence[Tensor]) -> Tensor:
    """Addresses and lengths of segments that make up tensors of one dtype, and which is whose.

    Returns:
        int64 of shape [3, S] on the device of the parts; the third row has indices into `parts`.
    """
    size = segment_size(parts)
    addresses, lengths, owners = [], [], []
    for owner, part in enumerate(parts):
        for start in range(0, part.numel(), size):
            addresses.append(part.data_ptr() + start * part.element_size())
            lengths.append(min(size, part.numel() - start))
            owners.append(owner)
    device = parts[0].device
    # Pinned, so that the copy waits for nothing; its allocator keeps the source until then.
    table = torch.tensor([addresses, lengths, owners], pin_memory=device.type == "cuda")
    return table.to(device, non_blocking=True)


def segment_size(parts: Sequence[Tensor]) -> int:
    """Entries of a segment, unless it is the last of its tensor."""
    total = sum(part.numel() for part in parts)
    return BLOCK * max(1, total // (BLOCK * PROGRAMS))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def pointer(table: tl.tensor, DTYPE: tl.constexpr) -> tl.tensor:  # noqa: N803 (Triton's custom)
    """Where the segment of this program begins."""
    address = tl.load(table + tl.program_id(0))
    if DTYPE == "float32":
        x = address.to(tl.pointer_type(tl.float32))
    elif DTYPE == "float16":
        x = address.to(tl.pointer_type(tl.float16))
    else:
        x = address.to(tl.pointer_type(tl.bfloat16))
    return x


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def magnitude(  # noqa: PLR0917 (Triton binds by position)
    x: tl.tensor,
    at: tl.tensor,
    inside: tl.tensor,
    table: tl.tensor,
    n_segments: tl.tensor,
    scales: tl.tensor,
    SCALED: tl.constexpr,  # noqa: N803
) -> tl.tensor:
    """Absolute values in float32, as the sample sees them; 0 outside."""
    value = tl.abs(tl.load(x + at, mask=inside, other=0.0).to(tl.float32))
    if SCALED:
        value = value * tl.load(scales + tl.load(table + 2 * n_segments + tl.program_id(0)))
    return value


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def kernel(  # noqa: PLR0917 (Triton binds by position)
    table: tl.tensor,
    n_segments: tl.tensor,
    state: tl.tensor,
    scales: tl.tensor,
    squares: tl.tensor,
    floor: tl.tensor,
    room: tl.tensor,
    kept: tl.tensor,
    capacity: tl.tensor,
    stride: tl.tensor,
    DTYPE: tl.constexpr,  # noqa: N803
    SCALED: tl.constexpr,  # noqa: N803
    LOOKING: tl.constexpr,  # noqa: N803
    BITS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    WINDOW: tl.constexpr,  # noqa: N803
) -> None:
    """Count every `stride`-th entry of one segment, the one of this program, into `state`.

    If `LOOKING`, leave the sum of its squares, too, and put the finite magnitudes whose bits are
    not below `floor` into `room`, as many as there is room for, and count all of them in `kept`.
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
            large = inside & (pattern >= tl.load(floor)) & (pattern < INFINITY)
            keep(value, large, room, kept, capacity)
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
        place = tl.atomic_add(kept, number, sem="relaxed") + tl.cumsum(chosen, 0) - 1
        tl.store(room + place, value, mask=large & (place < capacity))
