"""Facts about the machine and the code of a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

import htga
from htga_client.wire.json_codec import to_jsonable

GIT_TIMEOUT = 2.0
"""Seconds that git may take; a large working tree on a slow disk must not hold up a training."""


def describe(optimizer: Optimizer, model: nn.Module | None) -> dict[str, Any]:
    """Facts about the code, Python, its packages, the host, its devices and the model, as JSON.

    Command-line arguments are left out, because they may hold secrets.
    """
    facts: dict[str, Any] = {
        "htga": htga.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpus": os.cpu_count(),
        "script": Path(sys.argv[0]).name if sys.argv else "",
        "code": code_version(Path.cwd()),
        "devices": _devices(optimizer),
        "cuda": torch.version.cuda,
        "packages": _packages(),
        "optimizer": {"class": type(optimizer).__name__, "defaults": optimizer.defaults},
    }
    if hasattr(optimizer, "base"):
        facts["optimizer"]["base"] = type(optimizer.base).__name__
        facts["optimizer"]["settings"] = getattr(optimizer, "settings", None)
    if model is not None:
        parameters = sum(parameter.numel() for parameter in model.parameters())
        facts["model"] = {"class": type(model).__name__, "parameters": parameters}
    result: dict[str, Any] = to_jsonable(facts)
    return result


def project_name(folder: Path) -> str:
    """Name of the git repository that holds `folder`, or of the folder itself."""
    folder = folder.resolve()
    return (_repository(folder) or folder).name or "default"


def code_version(folder: Path) -> dict[str, Any]:
    """Commit of the git repository that holds `folder`, and whether tracked files differ from it.

    Empty without a repository or git; without `dirty` if git takes too long.
    """
    if _repository(folder.resolve()) is None:
        return {}
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit} | ({} if changes is None else {"dirty": bool(changes)})


def _repository(folder: Path) -> Path | None:
    holders = (folder, *folder.parents)
    return next((path for path in holders if (path / ".git").exists()), None)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  the arguments are ours
            ["git", "-C", str(folder), *arguments],  # noqa: S607  the user's git
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=GIT_TIMEOUT,
            check=True,
            text=True,
            # Otherwise `status` refreshes the index, and waits for the lock on it.
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _packages() -> dict[str, str]:
    found = ((d.metadata["Name"], d.version) for d in importlib.metadata.distributions())
    return dict(sorted((name, version) for name, version in found if name))


def _devices(optimizer: Optimizer) -> list[str]:
    devices = {
        parameter.device for group in optimizer.param_groups for parameter in group["params"]
    }
    return sorted(map(_device, devices))


def _device(device: torch.device) -> str:
    if device.type != "cuda":
        return str(device)
    facts = torch.cuda.get_device_properties(device)
    return f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"
