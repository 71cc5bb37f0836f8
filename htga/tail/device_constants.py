"""Cached constants on a device."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def constants(values: tuple[float, ...], device: torch.device) -> Tensor:
    """A cached float64 tensor of these values, shape [len]; do not write to it."""
    on_cuda = device.type == "cuda"  # Pinned, so that the copy does not wait.
    there = torch.tensor(values, dtype=torch.float64, device="cpu", pin_memory=on_cuda)
    return there.to(device, non_blocking=True)
