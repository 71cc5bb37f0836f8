"""Facts about the machine and the code of a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.optim import Optimizer

import htga
from htga_client.console import logger

T = TypeVar("T")

GIT_TIMEOUT = 2.0
"""Seconds that git may take; a large working tree on a slow disk must not hold up a training."""


def describe(optimizer: Optimizer, model: nn.Module | None) -> dict[str, Any]:
    """Facts about the code, Python, its packages, the host, its devices and the model.

    A fact that cannot be found is left out. So are command-line arguments, variables of the
    environment and addresses of repositories, because they may hold secrets.
    """
    facts: dict[str, Callable[[], Any]] = {
        "htga": lambda: htga.__version__,
        "python": platform.python_version,
        "torch": lambda: str(torch.__version__),
        "platform": platform.platform,
        "host": socket.gethostname,
        "cpus": os.cpu_count,
        "script": lambda: Path(sys.argv[0]).name if sys.argv else "",
        "code": lambda: code_version(Path.cwd()),
        "devices": lambda: _devices(optimizer),
        "cuda": lambda: torch.version.cuda,
        "packages": _packages,
        "optimizer": lambda: _optimizer(optimizer),
        "model": lambda: None if model is None else _model(model),
    }
    found = {name: _found(fact) for name, fact in facts.items()}
    return {name: fact for name, fact in found.items() if fact is not None or name == "cuda"}


def project_name(folder: Path | None = None) -> str:
    """Name of the git repository that holds `folder`, the current one, or of the folder itself."""

    def name() -> str:
        here = (folder or Path.cwd()).resolve()
        return (_repository(here) or here).name

    return _found(name) or "default"


def _found(fact: Callable[[], T]) -> T | None:
    """A fact, or None: what cannot be found must not keep a training from starting."""
    try:
        return fact()
    except Exception as error:  # noqa: BLE001  a fact comes from anywhere
        logger.debug("a fact about this run cannot be found: %r", error)
        return None


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
            encoding="utf-8",
            errors="replace",
            # Otherwise `status` refreshes the index, and waits for the lock on it.
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _packages() -> dict[str, str]:
    found = [_found(partial(_package, one)) for one in importlib.metadata.distributions()]
    return dict(sorted((name, version) for name, version in filter(None, found) if name))


def _package(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Name and version; raises if its metadata are broken."""
    return distribution.metadata["Name"] or "", distribution.version


def _optimizer(optimizer: Optimizer) -> dict[str, Any]:
    facts: dict[str, Any] = {"class": type(optimizer).__name__, "defaults": optimizer.defaults}
    if hasattr(optimizer, "base"):
        facts["base"] = type(optimizer.base).__name__
        facts["settings"] = getattr(optimizer, "settings", None)
    return facts


def _model(model: nn.Module) -> dict[str, Any]:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"class": type(model).__name__, "parameters": parameters}


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
