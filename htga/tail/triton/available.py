"""Whether Triton kernels work on a device."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import torch

logger = logging.getLogger("htga")

Probe = Callable[[torch.device], object]
"""A function that raises if Triton does not work."""


def triton_works(what: str, probe: Probe, device: torch.device) -> bool:
    """Whether kernels work, on CUDA or on any device under Triton's interpreter; tested once.

    Args:
        what: What the kernels do, for a warning.
        probe: Runs them. Triton may be missing, lack a C compiler, or not support the device.
        device: Device of the tensors.
    """
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    return (device.type == "cuda" or interpreted) and _succeeds(what, probe, device)


@cache
def _succeeds(what: str, probe: Probe, device: torch.device) -> bool:
    if find_spec("triton") is None:
        return False
    try:
        probe(device)
    except Exception:
        logger.warning("Triton cannot %s on %s; done without it", what, device, exc_info=True)
        return False
    return True


forget = _succeeds.cache_clear
