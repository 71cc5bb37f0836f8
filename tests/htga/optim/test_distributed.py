import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.preloaded import PRELOADED


@pytest.mark.slow
def test_processes_with_a_shard_each_step_as_one_process_with_the_whole(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])
    done = subprocess.run(
        [*PRELOADED, str(Path(__file__).with_name("distributed.py")), str(tmp_path / "store")],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.stdout == "sharded is unsharded\n"
