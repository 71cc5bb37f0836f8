import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.preloaded import PRELOADED


@pytest.mark.slow
def test_processes_with_a_shard_each_come_to_hold_the_counts_of_all(tmp_path: Path) -> None:
    script = Path(__file__).with_name("all_reduce.py")
    path = os.pathsep.join([str(Path(__file__).parents[4]), *sys.path])
    done = subprocess.run(
        [*PRELOADED, str(script), str(tmp_path / "store")],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.stdout == "both hold the whole\n"
