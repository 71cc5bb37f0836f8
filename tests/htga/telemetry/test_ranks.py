from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from htga import telemetry
from htga.telemetry.ranks import Ranks
from tests.support.faulty_collector import FaultyCollector

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def run(command: list[str]) -> list[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HTGA_STRICT": "1"}
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def wrong(command: list[str]) -> dict[str, list[str]]:
    found = [json.loads(line) for line in run(command)]
    return {case["case"]: case["wrong"] for case in found}


@pytest.mark.slow
def test_in_one_process_every_gradient_is_seen_as_it_is_applied() -> None:
    found = wrong([str(HERE / "train_matrix.py")])
    assert len(found) == 24
    assert not any(found.values()), found


@pytest.fixture(scope="module")
def wrong_in_two_processes() -> dict[str, list[str]]:
    return wrong([*TORCHRUN, str(HERE / "train_matrix.py")])


@pytest.mark.slow
def test_under_ddp_and_fsdp2_every_gradient_is_seen_as_it_is_applied(
    wrong_in_two_processes: dict[str, list[str]],
) -> None:
    found = {k: v for k, v in wrong_in_two_processes.items() if not k.endswith("control")}
    assert len(found) == 48
    assert not any(found.values()), found


@pytest.mark.slow
def test_control_a_shard_taken_for_the_whole_is_noticed(
    wrong_in_two_processes: dict[str, list[str]],
) -> None:
    found = {k: v for k, v in wrong_in_two_processes.items() if k.endswith("control")}
    assert len(found) == 8
    assert all(bool(what) == case.startswith("fsdp2") for case, what in found.items())


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "shown"), [("first", {0}), ("all", {0, 1})])
def test_the_processes_of_torchrun_are_one_run(
    faulty: FaultyCollector, ranks: str, shown: set[int]
) -> None:
    ids = run([*TORCHRUN, str(HERE / "train_ranks.py"), faulty.url, ranks])
    (run_id,) = faulty.runs
    assert ids == [run_id] * 2
    assert len(set(faulty.starts)) == 1
    assert len(faulty.next_seq) == len(shown)
    metrics = {(row["rank"], row["step"]): row["metrics"] for row in faulty.rows if row["metrics"]}
    assert metrics == {(r, s): {"mine": 10.0 * r + s} for r in shown for s in range(5)}
    measured = [(row["rank"], row["step"]) for row in faulty.rows if row["alpha_hat"] is not None]
    assert sorted(measured) == [(r, s) for r in sorted(shown) for s in range(5)]
    assert faulty.finished[run_id]["state"] == "finished"


def test_torchruns_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Ranks.current() == Ranks(0, 1)
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert Ranks.current() == Ranks(3, 8)


def test_without_a_process_group_the_id_comes_from_torchrun_or_the_user(
    monkeypatch: pytest.MonkeyPatch, faulty: FaultyCollector
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(3))], lr=0.1)
    with pytest.raises(ValueError, match="ranks 'all' needs an id that all ranks know"):
        telemetry.attach(optimizer, url=faulty.url, ranks="all")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-17")
    ids = []
    for _ in range(2):
        run = telemetry.attach(optimizer, url=faulty.url, ranks="all")
        run.finish()
        ids.append(run.id)
    assert ids[0] == ids[1]
    assert not faulty.finished  # that is for rank 0 to say
