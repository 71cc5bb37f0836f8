"""Run benchmarks/gpu.py as on a machine that has torch, Triton, NumPy and pyarrow, and no more."""

from __future__ import annotations

import importlib.metadata
import re
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def needed(names: Sequence[str]) -> set[str]:
    """Distributions with all that they require, by their normal names."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found.add(name)
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [re.split(r"[^\w.-]", line)[0] for line in requires if "extra ==" not in line]
    return found


class Bare:
    """Finds no module of other distributions."""

    def __init__(self) -> None:
        there = needed(["torch", "triton", "numpy", "pyarrow"])
        self._absent = {
            module
            for module, owners in importlib.metadata.packages_distributions().items()
            if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & there
        } - {"htga", "htga_client", "_distutils_hack"}

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise for what is not there."""
        if name.partition(".")[0] in self._absent:
            raise ModuleNotFoundError(f"{name} is not on that machine", name=name)
        return None


sys.meta_path.insert(0, Bare())
sys.path[:0] = [str(ROOT), str(ROOT / "client")]
runpy.run_path(str(ROOT / "benchmarks" / "gpu.py"), run_name="__main__")
