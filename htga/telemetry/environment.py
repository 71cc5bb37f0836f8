"""What a reader of a run will want to know of the machine and the code."""

from __future__ import annotations

import platform
import socket
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

import htga
from htga_client.codec import plain


def describe(optimizer: Optimizer, model: nn.Module | None) -> dict[str, Any]:
    """Facts about Python, torch, the host, its devices, the optimizer and the model, as JSON."""
    facts: dict[str, Any] = {
        "htga": htga.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "devices": _devices(optimizer),
        "optimizer": {"class": type(optimizer).__name__, "defaults": optimizer.defaults},
    }
    if hasattr(optimizer, "base"):
        facts["optimizer"]["base"] = type(optimizer.base).__name__
        facts["optimizer"]["settings"] = getattr(optimizer, "settings", None)
    if model is not None:
        parameters = sum(parameter.numel() for parameter in model.parameters())
        facts["model"] = {"class": type(model).__name__, "parameters": parameters}
    result: dict[str, Any] = plain(facts)
    return result


def project_name(folder: Path) -> str:
    """Name of the git repository that holds `folder`, or of the folder itself."""
    folder = folder.resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / ".git").exists():
            return candidate.name or "default"
    return folder.name or "default"


def _devices(optimizer: Optimizer) -> list[str]:
    devices = {
        parameter.device for group in optimizer.param_groups for parameter in group["params"]
    }
    return sorted(
        torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
        for device in devices
    )
