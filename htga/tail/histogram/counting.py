"""Counting of magnitudes by the top bits of their float32, on any device.

A state is one int64 tensor of shape [255 * 2**bits + 2]: the bins, then the number of zeros and
the number of NaNs and infinities. So one addition, or one all-reduce, merges everything.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from htga.tail.flat_tensors import CHUNK, blocks, cut
from htga.tail.triton.available import triton_works
from htga_client.wire.histogram import n_bins

FLOAT32 = torch.finfo(torch.float32)

MAGNITUDE = np.uint32(0x7FFFFFFF)
"""The bits of a float32 other than its sign."""


def count(parts: Sequence[Tensor], bits: int, device: torch.device) -> Tensor:
    """Count the magnitudes of flat tensors, all on `device`, in one pass.

    A CPU works chunk by chunk within its cache, a CUDA device in one launch of a Triton kernel if
    Triton is installed; other devices, and float64 on CUDA, in a few plain operations for each
    tensor. The counts are the same bit for bit.
    """
    state = torch.zeros(n_bins(bits) + 2, dtype=torch.int64, device=device)
    if uses_triton(device):
        from htga.tail.histogram.triton_counting import count_into  # noqa: PLC0415 (it may not be there)

        count_into(state, [part for part in parts if part.dtype != torch.float64], bits)
        parts = [part for part in parts if part.dtype == torch.float64]
    elif device.type == "cpu":
        for chunk in (chunk for block in blocks(parts) for chunk in cut(block, CHUNK)):
            count_on_cpu(chunk, bits, state)
        return state
    for part in parts:
        state += count_plain(part, bits)
    return state


def uses_triton(device: torch.device) -> bool:
    """Whether tensors on `device` are counted by the Triton kernel."""
    return triton_works("count", _count_one, device)


def _count_one(device: torch.device) -> None:
    from htga.tail.histogram.triton_counting import count_into  # noqa: PLC0415 (it may not be there)

    state = torch.zeros(n_bins(3) + 2, dtype=torch.int64, device=device)
    count_into(state, [torch.ones(1, dtype=torch.float32, device=device)], 3)


def count_on_cpu(chunk: Tensor, bits: int, state: Tensor) -> NDArray[np.uint32]:
    """Add the counts of a flat CPU tensor, of few enough entries for the cache, to a state.

    This uses NumPy, on one thread: bincount takes most of the time and has no use for several, and
    a parallel pass waits for all threads of PyTorch, one of which is late when other work shares
    the cores.

    Returns:
        The bin of each entry; non-finite entries lie beyond the last bin.
    """
    pattern = float32(chunk).numpy().view(np.uint32)
    number = pattern >> np.uint32(23 - bits)
    number &= np.uint32((256 << bits) - 1)
    found = np.bincount(number, minlength=256 << bits)
    zeros = 0
    if found[0]:  # They share a bin with the smallest subnormals; often both are absent.
        zeros = pattern.size - int(np.count_nonzero(pattern & MAGNITUDE))
        found[0] -= zeros
    counts, bins = state.numpy(), n_bins(bits)
    counts[:bins] += found[:bins]
    counts[bins:] += (zeros, found[bins:].sum())
    return number


def count_plain(x: Tensor, bits: int) -> Tensor:
    """The state of flat entries of any float type, without waiting for their device."""
    pattern = float32(x).view(torch.int32) & 0x7FFFFFFF
    found = torch.zeros(256 << bits, dtype=torch.int64, device=x.device)
    one = found.new_ones(1).expand(pattern.numel())
    # Not bincount, which would wait for the largest index.
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
