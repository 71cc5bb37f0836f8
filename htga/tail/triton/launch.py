"""Launching a Triton kernel on the device of its arguments."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def launch(kernel: Any, programs: int, *arguments: Tensor | int, **constants: Any) -> None:
    """Start so many programs of a kernel, without waiting for them.

    Args:
        kernel: A function that `triton.jit` has made.
        programs: At least one.
        arguments: The first is a tensor on the device.
        constants: What the kernel is compiled for.
    """
    with torch.cuda.device_of(arguments[0]):
        # Fused operations would round otherwise than PyTorch's do.
        kernel[programs,](*arguments, **constants, enable_fp_fusion=False)
