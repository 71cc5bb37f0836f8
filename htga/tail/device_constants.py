"""Numbers that stay on a device from step to step."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def constants(values: tuple[float, ...], device: torch.device) -> Tensor:
    """The same tensor for the same values, float64 [len], not to be written to."""
    on_cuda = device.type == "cuda"  # Pinned, so that the copy waits for nothing.
    there = torch.tensor(values, dtype=torch.float64, pin_memory=on_cuda)
    return there.to(device, non_blocking=True)
