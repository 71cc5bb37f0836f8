"""Several optimizers in one process, and a run that is settled before it is closed."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from htga import telemetry
from htga.telemetry import Run
from htga_client import Client
from htga_server.http.server import Server
from tests.support.faulty_collector import FaultyCollector

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
Attach = Callable[..., Run]
Train = Callable[[int], None]


class Training:
    """A model, its optimizer and what it logs."""

    def __init__(self, url: str, **options: Any) -> None:
        self.model = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.run = telemetry.attach(
            self.optimizer, url=url, model=self.model, layers_every=1, **options
        )

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.model(torch.randn(8, 40)).pow(3).mean().backward()
            self.optimizer.step()


@pytest.fixture
def training(collector: Server) -> Iterator[Callable[..., Training]]:
    made: list[Run] = []

    def make(**options: Any) -> Training:
        found = Training(collector.url, **options)
        made.append(found.run)
        return found

    yield make
    for run in made:
        run.finish(timeout=20)


def steps(client: Client, run: Run, layer: str = "") -> list[int]:
    found: list[int] = client.series(run.id, ["alpha_hat"], layer=layer)["step"].to_pylist()
    return found


@on_sqlite
def test_a_second_optimizer_of_a_run_hides_nothing_of_the_first(
    collector: Server, training: Callable[..., Training]
) -> None:
    one = training()
    two = training(run_id=one.run.id)
    three = training(run_id=one.run.id)
    for number in range(6):
        for every, each in enumerate((one, two, three), 1):
            if number % every == 0:
                each.train(1)
        one.run.log(loss_of_one=1.0)
        two.run.log(loss_of_two=2.0)
    for each in (three, two, one):  # whoever ends first, the run is the first's
        each.run.finish(timeout=20)
    with Client(collector.url) as client:
        run = client.run(one.run.id)
        found = {
            layer: len(steps(client, one.run, layer))
            for part in ("", "optimizer1", "optimizer2")
            for layer in (part, f"{part}{'.' * bool(part)}1.weight")
        }
        losses = client.series(run, ["loss_of_one", "loss_of_two"])
    assert (run.state, run.attempt) == ("finished", 1)
    assert list(found.values()) == [6, 6, 3, 3, 2, 2]
    assert losses["loss_of_one"].null_count == 0
    assert len(losses["loss_of_two"].drop_null()) == 3


@on_sqlite
@pytest.mark.parametrize("before", ["is finished", "is settled", "is garbage"])
def test_a_run_whose_first_optimizer_is_done_is_continued_by_another(
    collector: Server, training: Callable[..., Training], before: str
) -> None:
    first = training()
    run = first.run
    first.train(4)
    if before == "is finished":
        run.finish(timeout=20)
    elif before == "is settled":
        run.end_training()
    else:
        first.optimizer.cycle = first.optimizer  # type: ignore[attr-defined]
        del first
        assert run.flush(20)
    second = training(run_id=run.id, step=2)
    second.train(4)
    second.run.finish(timeout=20)
    with Client(collector.url) as client:
        assert client.run(run.id).attempt == 2
        assert steps(client, run) == list(range(6))
    gc.collect()


@on_sqlite
def test_a_run_that_goes_on_here_is_not_begun_again(
    training: Callable[..., Training],
) -> None:
    first = training()
    with pytest.raises(ValueError, match="resume forbids this run_id"):
        training(run_id=first.run.id, resume="never")


def test_a_settled_run_keeps_what_comes_later_and_no_later_end_counts(
    faulty: FaultyCollector, attach: Attach, train: Train
) -> None:
    run = attach(url=faulty.url)
    train(3)
    run.end_training("failed")
    assert faulty.finished[run.id]["state"] == "failed"
    train(2)  # the optimizer is measured no more
    run.log(accuracy=0.5)
    assert run.flush(20)
    assert [row["step"] for row in faulty.rows] == [0, 1, 2, 2]
    run.finish("finished", timeout=20)
    assert run.stats.acked == 4
    ends = [path for _, path, _ in faulty.requests if path.endswith("/finish")]
    assert len(ends) == 1
    assert faulty.finished[run.id]["state"] == "failed"


def test_a_run_is_settled_once_its_collector_comes_back(
    faulty: FaultyCollector, attach: Attach, train: Train, tmp_path: Path
) -> None:
    faulty.stop()
    run = attach(url=faulty.url, dir=tmp_path)
    train(3)
    run.end_training(timeout=0.0)
    run.log(accuracy=0.5)
    faulty.start()
    assert faulty.wait(lambda: run.id in faulty.finished, 60)
    assert run.flush(60)
    assert faulty.finished[run.id]["state"] == "finished"
    assert faulty.steps() == [0, 1, 2, 2]


def test_without_a_collector_the_disk_has_the_end_of_a_settled_run(
    attach: Attach, train: Train, tmp_path: Path
) -> None:
    run = attach(mode="offline", dir=tmp_path)
    train(3)
    run.end_training("failed")
    (end,) = tmp_path.glob("*/*/finish.json")
    assert json.loads(end.read_text())["state"] == "failed"
    run.log(accuracy=0.5)
    assert run.flush(20)
    run.finish(timeout=20)
    assert json.loads(end.read_text()) == {"state": "failed", "logged": 4}


def test_a_settled_run_that_nothing_refers_to_any_more_is_closed(
    faulty: FaultyCollector, tmp_path: Path
) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(3))], lr=0.1)
    run = telemetry.attach(optimizer, url=faulty.url, dir=tmp_path)
    run.end_training()
    run.log(accuracy=0.5)
    sender = run._sender
    assert sender is not None
    del run, optimizer
    gc.collect()
    assert sender.join(20)
    assert faulty.steps() == [0]
    assert not [*tmp_path.glob("*/*/*.seg")]
