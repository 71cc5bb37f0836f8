from __future__ import annotations

import itertools
import json
import os
import subprocess
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from htga import telemetry
from htga.telemetry import ranks
from htga.telemetry.ranks import Ranks
from tests.support.faulty_collector import FaultyCollector
from tests.support.preloaded import PRELOADED

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
IN_BOTH = ["--no-python", *PRELOADED]


def run(command: list[str]) -> list[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HTGA_STRICT": "1"}
    done = subprocess.run(
        [*PRELOADED, *command], env=environment, capture_output=True, text=True, check=False
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


@pytest.mark.slow
def test_under_ddp_and_fsdp2_every_gradient_is_seen_as_it_is_applied() -> None:
    found = wrong([*TORCHRUN, *IN_BOTH, str(HERE / "train_matrix.py")])
    controls = {case: found.pop(case) for case in list(found) if case.endswith("control")}
    assert len(found) == 48
    assert not any(found.values()), found
    # A control takes a shard for the whole, which must be noticed where there are shards.
    assert len(controls) == 8
    assert all(bool(what) == case.startswith("fsdp2") for case, what in controls.items())


@pytest.mark.slow
def test_the_processes_of_torchrun_are_one_attempt_of_a_run_whose_id_each_knows(
    faulty: FaultyCollector,
) -> None:
    said = run([*TORCHRUN, *IN_BOTH, str(HERE / "train_ranks.py"), faulty.url])
    names = {new["name"]: run_id for run_id, new in faulty.runs.items()}
    assert sorted(names) == ["after all", "after first", "before all", "before first"]
    assert sorted(said) == sorted(2 * [f"{name} {run_id} 5" for name, run_id in names.items()])
    assert len(faulty.starts) == 2 + 2 * 2
    assert len(set(faulty.starts)) == len(names)
    assert {how["state"] for how in faulty.finished.values()} == {"finished"}
    logged, measured = rows_of(faulty, "metrics"), rows_of(faulty, "alpha_hat")
    for name, run_id in names.items():
        own = (0, 1) if name.endswith("all") else (0,)
        places = [(rank, step) for rank in own for step in range(5)]
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


class Together:
    """The ranks of a training under torchrun, played by one process."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._url = url
        self._set = monkeypatch.setenv
        self._calls = [{mode: itertools.count() for mode in ("all", "first")} for _ in range(2)]
        self._patch = monkeypatch.setattr
        c10d: Any = torch.distributed
        self.store = c10d.TCPStore("127.0.0.1", 0, is_master=True)
        torchrun = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(self.store.port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "WORLD_SIZE": "2",
        }
        for name, value in torchrun.items():
            monkeypatch.setenv(name, value)
        ranks._torchruns_store.cache_clear()

    def attach(self, rank: int, **options: Any) -> telemetry.Run:
        self._set("RANK", str(rank))
        self._patch(ranks, "_calls", self._calls[rank])
        optimizer = torch.optim.SGD([nn.Parameter(torch.ones(3))], lr=0.1)
        run = telemetry.attach(optimizer, url=self._url, **options)
        weakref.finalize(run, id, optimizer)
        return run


@pytest.fixture
def together(faulty: FaultyCollector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Together]:
    yield Together(faulty.url, monkeypatch)
    ranks._torchruns_store.cache_clear()


def warnings(caplog: pytest.LogCaptureFixture) -> int:
    return sum("does not know the id of rank 0's run" in text for text in caplog.messages)


def test_a_rank_that_asks_before_rank_0_attaches_learns_the_id_later(
    together: Together, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ranks, "FIRST_ID_SECONDS", 0.0)
    early, late = together.attach(1), together.attach(1)
    assert (early.id, early.state_dict()["run_id"], late.name) == ("", "", late.name)
    assert warnings(caplog) == 1
    first, second = together.attach(0), together.attach(0)
    assert (early.id, late.id) == (first.id, second.id)
    assert first.id != second.id
    assert warnings(caplog) == 1
    for run in (first, second):
        run.finish(timeout=20)


def test_a_rank_that_nothing_joins_to_rank_0_says_once_that_it_knows_no_id(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(3))], lr=0.1)
    run = telemetry.attach(optimizer, step=7)
    optimizer.step()
    assert (run.id, run.id, run.url) == ("", "", "")
    assert run.state_dict() == {"run_id": "", "step": 8}
    assert warnings(caplog) == 1
    run.detach()
    optimizer.step()
    assert run.state_dict()["step"] == 8


def test_ranks_that_log_all_agree_without_a_process_group(
    together: Together, faulty: FaultyCollector
) -> None:
    for _ in range(2):  # a start, and another in the same processes
        runs = [together.attach(rank, ranks="all", name="n") for rank in (0, 1)]
        assert runs[0].id == runs[1].id
        for run in reversed(runs):
            run.finish(timeout=20)
    assert len(faulty.runs) == 2
    assert len(set(faulty.starts)) == 2
    assert len(faulty.starts) == 4


def test_where_rank_0_does_not_attach_the_others_are_told_in_words(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "AGREEMENT_SECONDS", 0.0)
    with pytest.raises(ValueError, match="rank 0 has not called attach"):
        together.attach(1, ranks="all")
