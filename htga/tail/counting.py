"""Counting magnitudes by the top bits of their float32, on any device.

A state is one int64 tensor of shape [255 * 2**bits + 2]: the bins, then the number of zeros and
that of NaNs and infinities. So one addition, or one all-reduce, merges everything there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from htga.tail.entries import CHUNK, blocks, cut
from htga.tail.triton_works import triton_works
from htga_client.histogram import n_bins

FLOAT32 = torch.finfo(torch.float32)

READABLE = (torch.float32, torch.float16, torch.bfloat16)
"""What the Triton kernels read as it stands; float32, in which they compute, holds all of it."""


def count(parts: Sequence[Tensor], bits: int, device: torch.device) -> Tensor:
    """Count the magnitudes of flat tensors, all on `device`, in one pass.

    A CPU works chunk by chunk within its cache, a CUDA device in one launch of a Triton kernel
    where Triton is installed; other devices, and float64 on CUDA, in a few plain operations for
    each tensor. The counts are the same bit for bit.
    """
    state = torch.zeros(n_bins(bits) + 2, dtype=torch.int64, device=device)
    if uses_triton(device):
        from htga.tail.triton_counting import count_into  # noqa: PLC0415 (it may not be there)

        count_into(state, [part for part in parts if part.dtype != torch.float64], bits)
        parts = [part for part in parts if part.dtype == torch.float64]
    elif device.type == "cpu":
        for _ in counted(blocks(parts), bits, state):
            pass
        return state
    for part in parts:
        state += count_plain(part, bits)
    return state


def uses_triton(device: torch.device) -> bool:
    """Whether tensors on `device` are counted by the Triton kernel."""
    return triton_works("count", _count_one, device)


def _count_one(device: torch.device) -> None:
    from htga.tail.triton_counting import count_into  # noqa: PLC0415 (it may not be there)

    state = torch.zeros(n_bins(3) + 2, dtype=torch.int64, device=device)
    count_into(state, [torch.ones(1, device=device)], 3)


def counted(joined: Iterable[Tensor], bits: int, state: Tensor) -> Iterator[Tensor]:
    """Count flat CPU tensors into a state, chunk by chunk, and show each chunk on the way.

    All passes over a chunk write into the same two buffers, which so stay in the cache: fresh ones
    would cost more than the counting.

    Yields:
        The magnitudes of the next `CHUNK` entries (or what is left) of a block in float32, which
        hold until the chunk after it.
    """
    # The narrower the bin numbers, the faster bincount reads them.
    magnitude = torch.empty(0)
    number = torch.empty(0, dtype=torch.int16 if bits < 8 else torch.int32)
    bins = n_bins(bits)
    for chunk in (chunk for block in joined for chunk in cut(block, CHUNK)):
        size = chunk.numel()
        if size > magnitude.numel():
            magnitude, number = torch.empty(size), number.new_empty(size)
        magnitudes = torch.abs(float32(chunk), out=magnitude[:size])
        yield magnitudes
        numbers = number[:size].copy_(magnitudes.view(torch.int32).bitwise_right_shift_(23 - bits))
        found = torch.bincount(numbers, minlength=256 << bits)
        zeros = 0
        if found[0]:  # They share a bin with the smallest subnormals; often both are absent.
            zeros = size - int((float32(chunk).view(torch.int32) << 1).count_nonzero())
            found[0] -= zeros
        state[:bins] += found[:bins]
        state[bins] += zeros
        state[bins + 1] += found[bins:].sum()


def count_plain(x: Tensor, bits: int) -> Tensor:
    """The state of flat entries of any float type, without waiting for their device."""
    pattern = float32(x).view(torch.int32) & 0x7FFFFFFF
    found = torch.zeros(256 << bits, dtype=torch.int64, device=x.device)
    one = found.new_ones(1).expand(pattern.numel())
    # Not bincount, which would wait to learn the largest index.
    found.scatter_add_(0, (pattern >> (23 - bits)).long(), one)
    bins, zeros = n_bins(bits), (pattern == 0).sum()
    found[0] -= zeros
    return torch.cat([found[:bins], zeros.reshape(1), found[bins:].sum().reshape(1)])


def float32(x: Tensor) -> Tensor:
    """`x` in float32, where no entry changes between zero, finite non-zero and non-finite."""
    if x.dtype != torch.float64:
        return x.float()
    single = x.float()
    single = torch.where(single.isinf() & x.isfinite(), FLOAT32.max, single)
    return torch.where((single == 0) & (x != 0), FLOAT32.smallest_normal * FLOAT32.eps, single)
