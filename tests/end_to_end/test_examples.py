"""The examples work as their first lines say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from htga_client import Client
from tests.support.processes import ROOT, Collector, collecting

EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
EXAMPLES.remove("ddp.py")
LAUNCHER = ["-m", "accelerate.commands.launch", "--num_processes", "1", "--cpu"]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """`htga up`."""
    with collecting(tmp_path_factory.mktemp("data"), "--no-dashboard") as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_trains_to_its_end_and_every_step_is_there(
    example: str, collector: Collector, tmp_path: Path
) -> None:
    launcher = LAUNCHER if example == "accelerated.py" else []
    ended = subprocess.run(
        [sys.executable, *launcher, str(ROOT / "examples" / example)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"HTGA_URL": collector.url, "HTGA_NAME": example, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    with Client(collector.url) as client:
        (run,) = [run for run in client.runs(project="examples") if run.name == example]
        table = client.series(run, ["alpha_hat", "grad_norm", "loss"], buckets=10_000)
    assert run.state == "finished"
    assert f"{collector.url}/run/{run.id}" in ended.stderr
    assert table["step"].to_pylist() == list(range(table.num_rows))
    assert table.num_rows >= 100
    assert table["alpha_hat"].null_count == table["grad_norm"].null_count == 0
    assert table["loss"].null_count < table.num_rows
