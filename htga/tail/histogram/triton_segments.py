"""Many CUDA tensors as segments of about equal length, one for each program of a kernel.

So the number of tensors is irrelevant. Their addresses rarely change from step to step, so the
table of segments stays on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from htga.tail.flat_tensors import TRITON_DTYPES

BLOCK = 4096
"""Number of entries that a program holds at a time, and the minimum size of a segment."""

PROGRAMS = 2048
"""Approximate number of programs for a large model: enough to fill a device several times."""

MAX_TABLES = 512
"""Maximum number of tables that are kept: a model whose layers are looked at one by one has one for
each, and with fewer places than layers none would be there when it is needed again."""


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of tensors of one dtype.

    Attributes:
        table: Addresses, lengths, and which tensor each belongs to, int64 [3, S].
        firsts: Number of the first segment of each of these tensors, and S, int64 [T + 1].
        owners: Which tensors these are, int64 [T].
        dtype: Name of their type in the kernels.
    """

    table: Tensor
    firsts: Tensor
    owners: Tensor
    dtype: str

    @property
    def programs(self) -> int:
        """Number of segments."""
        return self.table.shape[1]


def segments_of(parts: Sequence[Tensor]) -> list[Segments]:
    """Segments of flat tensors of one device, by dtype; other dtypes are left out.

    Args:
        parts: Contiguous.
    """
    found = []
    for dtype in TRITON_DTYPES:
        chosen = [i for i, part in enumerate(parts) if part.dtype == dtype and part.numel()]
        if chosen:
            addresses = tuple(parts[i].data_ptr() for i in chosen)
            lengths = tuple(parts[i].numel() for i in chosen)
            found.append(_segments(addresses, lengths, tuple(chosen), dtype, parts[0].device))
    return found


@lru_cache(maxsize=MAX_TABLES)
def _segments(
    addresses: tuple[int, ...],
    lengths: tuple[int, ...],
    owners: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
) -> Segments:
    length, owner = np.array(lengths), np.array(owners)
    size = BLOCK * max(1, int(length.sum()) // (BLOCK * PROGRAMS))
    shares = -(-length // size)
    firsts = np.concatenate([[0], shares.cumsum()])
    which = np.repeat(np.arange(len(lengths)), shares)
    begin = (np.arange(len(which)) - firsts[which]) * size
    table = [
        np.array(addresses)[which] + begin * dtype.itemsize,
        np.minimum(size, length[which] - begin),
        owner[which],
    ]
    joined = torch.from_numpy(np.concatenate([*table, firsts, owner]))
    # Pinned, so that the copy does not wait; the allocator keeps the source until it is done.
    there = (joined.pin_memory() if device.type == "cuda" else joined).to(device, non_blocking=True)
    rows, ends, which_parts = there.split([3 * len(which), len(firsts), len(owners)])
    return Segments(rows.view(3, -1), ends, which_parts, str(dtype).removeprefix("torch."))


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def pointer(table: tl.tensor, DTYPE: tl.constexpr) -> tl.tensor:  # noqa: N803 (Triton's custom)
    """Pointer to the segment of this program."""
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
    """Absolute values in float32, scaled if need be; 0 outside."""
    value = tl.abs(tl.load(x + at, mask=inside, other=0.0).to(tl.float32))
    if SCALED:
        value = value * tl.load(scales + tl.load(table + 2 * n_segments + tl.program_id(0)))
    return value


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def sum_kernel(
    values: tl.tensor,
    firsts: tl.tensor,
    owners: tl.tensor,
    sums: tl.tensor,
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Sum the results of the segments of one tensor, always in the same order."""
    owner = tl.program_id(0)
    first, last = tl.load(firsts + owner), tl.load(firsts + owner + 1)
    lane = tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], dtype=tl.float64)
    for start in range(first, last, BLOCK):
        total += tl.load(values + start + lane, mask=start + lane < last, other=0.0)
    tl.store(sums + tl.load(owners + owner), tl.sum(total))
