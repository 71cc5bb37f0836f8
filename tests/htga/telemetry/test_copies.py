"""Whatever holds a run or a measured optimizer is copied and pickled as without telemetry."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import htga
from htga import telemetry
from tests.support.faulty_collector import FaultyCollector
from tests.support.preloaded import PRELOADED


class WholeSGD(torch.optim.SGD):
    """Keeps all that it has when it is copied, hooks included, as some optimizers do."""

    def __getstate__(self) -> dict[str, Any]:
        # A scheduler puts a `step` there, which nothing can pickle.
        return {name: value for name, value in self.__dict__.items() if name != "step"}


class Trainer:
    """What many scripts have: everything in one object."""

    def __init__(self, optimizer: torch.optim.Optimizer, run: telemetry.Run) -> None:
        self.model = nn.Linear(3, 1)
        self.optimizer = optimizer
        self.scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5)
        self.run = run
        self.log = run.log


def torch_saved(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),  # noqa: S301  our own
    "cloudpickle": lambda value: cloudpickle.loads(cloudpickle.dumps(value)),
    "torch.save": torch_saved,
}
OPTIMIZERS: dict[str, Callable[[], torch.optim.Optimizer]] = {
    "SGD": lambda: torch.optim.SGD(parameters(), lr=0.1),
    "AdamW": lambda: torch.optim.AdamW(parameters(), lr=0.1),
    "keeps its hooks": lambda: WholeSGD(parameters(), lr=0.1),
    "HTGA": lambda: htga.HTGA(WholeSGD(parameters(), lr=0.1)),
}


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(100))]


def train(optimizer: torch.optim.Optimizer, count: int) -> None:
    for _ in range(count):
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.grad = torch.randn(100)
        optimizer.step()


@pytest.fixture
def attached(faulty: FaultyCollector) -> Iterator[Callable[..., telemetry.Run]]:
    runs: list[telemetry.Run] = []

    def attach(optimizer: torch.optim.Optimizer, **options: Any) -> telemetry.Run:
        runs.append(telemetry.attach(optimizer, url=faulty.url, **options))
        return runs[-1]

    yield attach
    for run in runs:
        run.finish(timeout=20)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("how", COPIES)
def test_a_copied_trainer_logs_to_the_same_run_and_its_optimizer_is_not_measured_twice(
    faulty: FaultyCollector, attached: Callable[..., telemetry.Run], how: str, kind: str
) -> None:
    optimizer = OPTIMIZERS[kind]()
    trainer = Trainer(optimizer, attached(optimizer))
    train(optimizer, 2)
    copied = COPIES[how](trainer)
    assert copied.run is trainer.run
    assert COPIES[how](trainer.run) is trainer.run
    assert copied.log.__self__ is trainer.run
    if how != "copy":  # a shallow one holds the same optimizer
        assert copied.optimizer is not optimizer
        train(copied.optimizer, 5)
    alone = COPIES["pickle" if how == "copy" else how](optimizer)
    train(alone, 5)
    train(optimizer, 1)
    copied.log(loss=1.0)
    assert trainer.run.flush(60)
    assert faulty.steps() == [0, 1, 2, 2]


class Noting(Dataset[int]):
    """A data set that logs, from whichever process reads it."""

    def __init__(self, run: telemetry.Run) -> None:
        self.run = run

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        self.run.log(index=index, step=index)
        return index


def test_workers_that_are_spawned_read_a_data_set_that_holds_a_run(
    faulty: FaultyCollector, attached: Callable[..., telemetry.Run]
) -> None:
    run = attached(OPTIMIZERS["SGD"]())
    loader = DataLoader(Noting(run), num_workers=1, multiprocessing_context="spawn")
    assert [int(index) for index in loader] == [0, 1, 2, 3]
    assert run.flush(60)
    assert faulty.steps() == []
    assert faulty.finished == {}


ELSEWHERE = """
import pickle, sys
run = pickle.load(open(sys.argv[1], "rb"))
again = pickle.loads(pickle.dumps(run))
for one in (run, again, pickle.loads(pickle.dumps(run))):
    with one as entered:
        for _ in range(3):
            entered.log(loss=1.0)
            entered.log([object()], step="x")
            entered.alert("oops")
        assert entered.flush(1)
        entered.detach()
    one.finish("failed")
    one.log(loss=2.0)
    assert one.stats.logged == 0
    print(one.id, one.url, one.name, one.state_dict()["step"])
"""


def test_a_run_unpickled_in_another_process_knows_the_run_and_says_once_that_it_cannot_log(
    faulty: FaultyCollector, attached: Callable[..., telemetry.Run], tmp_path: Path
) -> None:
    optimizer = OPTIMIZERS["SGD"]()
    run = attached(optimizer, name="mine")
    train(optimizer, 3)
    file = tmp_path / "run"
    file.write_bytes(pickle.dumps(run))
    command = [*PRELOADED, "-c", ELSEWHERE, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{run.id} {run.url} mine 3"] * 3
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("htga: run mine is not attached in this process")
    assert run.flush(60)
    assert faulty.steps() == [0, 1, 2]
    assert faulty.finished == {}


def test_a_disabled_run_says_nothing_in_another_process_either(tmp_path: Path) -> None:
    file = tmp_path / "run"
    file.write_bytes(pickle.dumps(telemetry.attach(OPTIMIZERS["SGD"](), mode="disabled")))
    command = [*PRELOADED, "-c", ELSEWHERE.rsplit("    print", 1)[0], str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
