"""The examples work as their first lines say, and their last lines show their pages.

Several run in one process: most of what a script costs is to import torch and a framework.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from htga_client import Client
from tests.faults.test_jupyter import Kernel
from tests.support.preloaded import PRELOADED
from tests.support.processes import ROOT, Collector, collecting

SCRIPTS = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted(path.name for path in (ROOT / "examples").glob("*.ipynb"))
PARALLEL = ["ddp.py", "fsdp2.py"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
IN_BOTH = ["--no-python", *PRELOADED]
Results = dict[str, dict[str, Any]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """`htga up`."""
    with collecting(tmp_path_factory.mktemp("data"), "--no-dashboard") as running:
        yield running


@pytest.fixture(scope="module")
def run(
    collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[list[str], list[str]], Results]:
    """Runs examples in one process, or one for each rank."""

    def together(launcher: list[str], names: list[str]) -> Results:
        variables = {"HTGA_URL": collector.url, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            [*PRELOADED, *launcher, str(ROOT / "tests/support/run_examples.py"), *names],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            cwd=tmp_path_factory.mktemp("examples"),
            env=os.environ | variables,
        )
        assert ended.returncode == 0, ended.stderr
        lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
        return {line["example"]: line for line in lines if line["last"] or line["error"]}

    return together


@pytest.fixture(scope="module")
def alone(run: Callable[[list[str], list[str]], Results]) -> Results:
    return run([], [name for name in SCRIPTS if name not in PARALLEL])


@pytest.fixture(scope="module")
def parallel(run: Callable[[list[str], list[str]], Results]) -> Results:
    return run([*TORCHRUN, *IN_BOTH], PARALLEL)


@pytest.mark.parametrize("example", SCRIPTS)
def test_an_example_trains_to_its_end_and_every_step_is_there(
    example: str, collector: Collector, request: pytest.FixtureRequest
) -> None:
    results = request.getfixturevalue("parallel" if example in PARALLEL else "alone")
    assert not results[example]["error"]
    check(collector, example, results[example]["last"])


@pytest.mark.parametrize("example", NOTEBOOKS)
def test_an_example_is_a_notebook_that_runs_from_its_first_cell_to_its_last(
    example: str, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"URL": collector.url, "NAME": example, "DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"HTGA_{name}", value)
    notebook = json.loads((ROOT / "examples" / example).read_text())
    kernel = Kernel()
    try:
        said = [
            kernel.run("".join(cell["source"]))
            for cell in notebook["cells"]
            if cell["cell_type"] == "code"
        ]
    finally:
        kernel.end()
    check(collector, example, said[-1].strip())


def check(collector: Collector, name: str, last_line: str) -> None:
    with Client(collector.url) as client:
        (run,) = [run for run in client.runs(project="examples") if run.name == name]
        table = client.series(run, ["alpha_hat", "grad_norm", "loss"], buckets=10_000)
    assert last_line == f"{collector.url}/run/{run.id}"
    assert run.state == "finished"
    assert run.attempt == 1
    assert table["step"].to_pylist() == list(range(table.num_rows))
    assert table.num_rows >= 100
    assert table["alpha_hat"].null_count == table["grad_norm"].null_count == 0
    assert table["loss"].null_count < table.num_rows
