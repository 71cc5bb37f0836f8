"""HTGA: an optimizer that controls the tail of its gradients, and telemetry that shows it live.

The names that need PyTorch are loaded at their first use, so that the command line and the
collector run on machines without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from htga import levy, optim, tail, telemetry
    from htga.optim import HTGA

__all__ = ["HTGA", "levy", "optim", "tail", "telemetry"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'htga' has no attribute {name!r}")
    try:
        if name == "HTGA":
            return importlib.import_module("htga.optim").HTGA
        return importlib.import_module(f"htga.{name}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(
            f"htga.{name} needs PyTorch: in a clone of HTGA, pip install '.[torch]'"
        ) from None
