from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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
def test_the_processes_of_torchrun_are_one_attempt_of_a_run_whose_id_each_knows(
    faulty: FaultyCollector,
) -> None:
    said = run([*TORCHRUN, str(HERE / "train_ranks.py"), faulty.url])
    names = {new["name"]: run_id for run_id, new in faulty.runs.items()}
    assert sorted(names) == ["after all", "after first", "before all", "before first"]
    assert sorted(said) == sorted(2 * [f"{name} {run_id} 5" for name, run_id in names.items()])
    assert len(faulty.starts) == 2 + 2 * 2
    assert len(set(faulty.starts)) == len(names)
    assert {how["state"] for how in faulty.finished.values()} == {"finished"}
    logged, measured = rows_of(faulty, "metrics"), rows_of(faulty, "alpha_hat")
    for name, run_id in names.items():
        ranks = (0, 1) if name.endswith("all") else (0,)
        places = [(rank, step) for rank in ranks for step in range(5)]
        assert logged[run_id] == {(r, s): {"mine": 10.0 * r + s} for r, s in places}
        assert sorted(measured[run_id]) == places


def rows_of(faulty: FaultyCollector, key: str) -> dict[str, dict[tuple[int, int], Any]]:
    """What the rows of each run hold, by rank and step."""
    found: dict[str, dict[tuple[int, int], Any]] = {run_id: {} for run_id in faulty.runs}
    for row in faulty.rows:
        if row[key]:
            found[row["run"]][row["rank"], row["step"]] = row[key]
    return found


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
