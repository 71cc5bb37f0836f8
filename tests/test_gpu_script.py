from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_the_gpu_script_runs_where_there_is_little_besides_torch() -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "support" / "bare_gpu.py")],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "no CUDA device: nothing is measured\n"), (
        done.stderr
    )
