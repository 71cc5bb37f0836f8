"""Counting the magnitudes of many CUDA tensors in one launch of a Triton kernel.

Only `htga.tail.counting` imports this, and only where Triton is installed.

The table of addresses makes the number of tensors irrelevant: a model's gradients are cut into
segments of about equal length, and each program counts one of them. It counts privately into a
window of 256 bins, as many as a GPU counts quickly in registers and shared memory; nearly all of a
gradient's magnitudes lie within. What falls outside goes to the global counts one by one. Counts
are integers, so neither the window nor the order in which programs finish can change a bit of the
result.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096
"""Entries that a program holds at a time."""

PROGRAMS = 2048
"""About how many programs share a large model: enough to fill a device a few times over."""

WINDOW = 256
"""Bins that a program counts privately."""

READABLE = (torch.float32, torch.float16, torch.bfloat16)
"""What the kernel reads as it stands; narrower types are widened first."""


def count_into(state: Tensor, parts: Sequence[Tensor], bits: int) -> None:
    """Add the counts of flat tensors to a state of `htga.tail.counting`, without waiting.

    One launch for each dtype among them.

    Args:
        state: int64 of shape [255 * 2**bits + 2], on the device of the parts.
        parts: Contiguous, float32 or narrower.
        bits: Mantissa bits.
    """
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for part in parts:
        if part.numel():
            readable = part if part.dtype in READABLE else part.float()
            by_dtype.setdefault(readable.dtype, []).append(readable)
    for dtype, same in by_dtype.items():
        table = segments(same)
        with torch.cuda.device_of(state):
            kernel[table.shape[1],](
                table,
                table.shape[1],
                state,
                DTYPE=str(dtype).removeprefix("torch."),
                BITS=bits,
                BLOCK=BLOCK,
                WINDOW=WINDOW,
                # There is no arithmetic to fuse, but Triton warns if this is left open.
                enable_fp_fusion=False,
            )


def segments(parts: Sequence[Tensor]) -> Tensor:
    """Addresses and lengths of segments that make up tensors of one dtype, and which is whose.

    Returns:
        int64 of shape [3, S] on the device of the parts; the third row has indices into `parts`.
    """
    total = sum(part.numel() for part in parts)
    size = BLOCK * max(1, total // (BLOCK * PROGRAMS))
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


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def kernel(  # noqa: PLR0917 (Triton binds by position)
    table: tl.tensor,
    n_segments: tl.tensor,
    state: tl.tensor,
    DTYPE: tl.constexpr,  # noqa: N803 (Triton's custom for constants)
    BITS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    WINDOW: tl.constexpr,  # noqa: N803
) -> None:
    """Count one segment, the one of this program, into `state`."""
    bins: tl.constexpr = 255 << BITS
    segment = tl.program_id(0)
    address = tl.load(table + segment)
    length = tl.load(table + n_segments + segment).to(tl.int32)
    if DTYPE == "float32":
        x = address.to(tl.pointer_type(tl.float32))
    elif DTYPE == "float16":
        x = address.to(tl.pointer_type(tl.float16))
    else:
        x = address.to(tl.pointer_type(tl.bfloat16))
    lane = tl.arange(0, BLOCK)

    # A quarter of the window lies above the largest entry of the first block, because a heavy tail
    # brings larger ones later.
    value = tl.load(x + lane, mask=lane < length, other=0.0).to(tl.float32)
    index = (value.to(tl.int32, bitcast=True) & 0x7FFFFFFF) >> (23 - BITS)
    top = tl.max(tl.where(index < bins, index, 0))
    base = tl.maximum(tl.minimum(top - WINDOW * 3 // 4, bins - WINDOW), 0)

    private = tl.zeros([WINDOW], dtype=tl.int32)
    zeros = tl.zeros([BLOCK], dtype=tl.int32)
    for start in range(0, length, BLOCK):
        inside = start + lane < length
        value = tl.load(x + start + lane, mask=inside, other=0.0).to(tl.float32)
        pattern = value.to(tl.int32, bitcast=True) & 0x7FFFFFFF
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
    slot = tl.arange(0, WINDOW)
    used = (slot > 0) & (private > 0)
    tl.atomic_add(state + base + slot, private.to(tl.int64), mask=used, sem="relaxed")
    tl.atomic_add(state + bins, tl.sum(zeros).to(tl.int64), sem="relaxed")
