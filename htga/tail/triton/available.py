"""Whether Triton kernels can be used on a device."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import torch

logger = logging.getLogger("htga")

Attempt = Callable[[torch.device], object]
"""What to try, that fails where Triton does not work."""


def triton_works(what: str, attempt: Attempt, device: torch.device) -> bool:
    """Whether kernels work, on CUDA or anywhere under Triton's interpreter; found out once.

    Args:
        what: What they do, for a warning.
        attempt: Does it. Triton may be missing, lack a C compiler, or not know the device.
        device: Where.
    """
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    return (device.type == "cuda" or interpreted) and _succeeds(what, attempt, device)


@cache
def _succeeds(what: str, attempt: Attempt, device: torch.device) -> bool:
    if find_spec("triton") is None:
        return False
    try:
        attempt(device)
    except Exception:
        logger.warning("Triton cannot %s on %s; done without it", what, device, exc_info=True)
        return False
    return True


forget = _succeeds.cache_clear
