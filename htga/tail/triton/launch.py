"""The launch of a Triton kernel on the device of its arguments."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def launch(kernel: Any, programs: int, *arguments: Tensor | int, **constants: Any) -> None:
    """Start programs of a kernel, without waiting for them.

    Args:
        kernel: A function made by `triton.jit`.
        programs: Number of programs, at least one.
        arguments: The kernel's arguments; the first is a tensor on the device.
        constants: Compile-time constants.
    """
    with torch.cuda.device_of(arguments[0]):
        # Fused operations would round differently from PyTorch's.
        kernel[programs,](*arguments, **constants, enable_fp_fusion=False)
