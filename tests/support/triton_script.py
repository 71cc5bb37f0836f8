"""Running a script that needs Triton, which reads its environment when it is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
needs_triton = pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux alone")


def lines_of(script: Path, cache: Path, **environment: str) -> list[str]:
    """What a script prints, in a process of its own; Triton keeps its files in `cache`."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env=os.environ | {"PYTHONPATH": path, "TRITON_CACHE_DIR": str(cache)} | environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=900,
        check=False,
    )
    return done.stdout.splitlines()
