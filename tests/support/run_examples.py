"""Runs examples one after another in one process: run_examples.py NAME ...

Prints a line of JSON for each: its name, the last line that it printed, and its error. Under
torchrun the examples share a process group, and the process ends together with the others.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import sys
import traceback
from typing import Any

from torch import distributed

from tests.support.processes import ROOT
from tests.support.rank_exit import exit_together


def main(names: list[str]) -> None:
    """Run each example as a script whose run has its name."""
    under_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    if under_torchrun:
        distributed.init_process_group("gloo")
        once: Any = distributed
        once.init_process_group = once.destroy_process_group = lambda *_: None  # `exit_together`
    for name in names:
        os.environ["HTGA_NAME"] = name
        said, error = io.StringIO(), ""
        with contextlib.redirect_stdout(said):
            try:
                runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
            except Exception:  # noqa: BLE001  the test says it
                error = traceback.format_exc()
        last = said.getvalue().splitlines()[-1:] or [""]
        print(json.dumps({"example": name, "last": last[0], "error": error}), flush=True)
    if under_torchrun:
        exit_together()


main(sys.argv[1:])
