"""Which step a metric belongs to; nothing that is logged takes the place of anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from htga.telemetry import Run
from htga_client import Client
from htga_server.http.server import Server
from tests.support.faulty_collector import FaultyCollector

Attach = Callable[..., Run]
Train = Callable[[int], None]


def logged(faulty: FaultyCollector, name: str) -> list[tuple[int, float]]:
    return [(row["step"], row["metrics"][name]) for row in faulty.rows if name in row["metrics"]]


def measured(faulty: FaultyCollector) -> list[int]:
    return [row["step"] for row in faulty.rows if row["alpha_hat"] is not None]


def warnings(caplog: pytest.LogCaptureFixture) -> int:
    return sum("optimizer.step() has not been called" in text for text in caplog.messages)


@pytest.mark.parametrize("first", [0, 100])
def test_an_evaluation_before_the_first_step_is_kept_beside_the_one_after_it(
    faulty: FaultyCollector,
    attach: Attach,
    train: Train,
    caplog: pytest.LogCaptureFixture,
    first: int,
) -> None:
    run = attach(url=faulty.url, step=first, every=2)
    run.log(accuracy=0.0)
    run.log(loss=0.0)
    for number in (1, 2, 3):
        train(1)
        run.log(loss=float(number))
        run.log(accuracy=float(number))
    assert run.flush(60)
    begin = first or 1
    steps = [begin - 1, begin, begin + 1, begin + 2]
    assert logged(faulty, "accuracy") == list(zip(steps, range(4), strict=True))
    assert logged(faulty, "loss") == list(zip(steps, range(4), strict=True))
    assert measured(faulty) == [begin, begin + 2]
    assert run.state_dict()["step"] == begin + 3
    assert warnings(caplog) == 0


def test_without_an_evaluation_before_it_the_first_step_is_0(
    faulty: FaultyCollector, attach: Attach, train: Train
) -> None:
    run = attach(url=faulty.url)
    for number in range(3):
        train(1)
        run.log(loss=number)
    assert run.flush(60)
    assert logged(faulty, "loss") == [(0, 0), (1, 1), (2, 2)]
    assert measured(faulty) == [0, 1, 2]


def logs(run: Run, number: float) -> None:
    run.log(loss=number)
    run.log({"accuracy": number}, lr=0.1)


@pytest.mark.parametrize("first", [0, 50])
@pytest.mark.parametrize("says", [False, True])
def test_where_the_optimizers_step_is_never_called_steps_are_counted_by_logs_or_by_the_loop(
    collector: Server,
    attach: Attach,
    caplog: pytest.LogCaptureFixture,
    first: int,
    says: bool,
) -> None:
    run = attach(url=collector.url, step=first)
    for number in range(5):
        if says:
            run.step()
        logs(run, number)
    assert run.flush(60)
    begin = first if says or first == 0 else first - 1
    with Client(collector.url) as client:
        table = client.series(run.id, ["loss", "accuracy"]).to_pydict()
    assert table["step"] == list(range(begin, begin + 5))
    assert table["loss"] == table["accuracy"] == [0, 1, 2, 3, 4]
    assert warnings(caplog) == (0 if says else 1)


def test_steps_counted_by_logs_are_not_taken_again_once_the_optimizer_steps(
    faulty: FaultyCollector, attach: Attach, train: Train
) -> None:
    run = attach(url=faulty.url)
    for number in range(4):  # as while gradients accumulate
        run.log(loss=number)
    for number in range(4, 7):
        train(1)
        run.log(loss=number)
    assert run.flush(60)
    assert logged(faulty, "loss") == [(step, step) for step in range(7)]
    assert measured(faulty) == [4, 5, 6]


def test_a_run_whose_optimizer_cannot_be_measured_counts_steps_by_logs(
    faulty: FaultyCollector, attach: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no hooks")

    monkeypatch.setattr(torch.optim.Optimizer, "register_step_pre_hook", broken)
    run = attach(url=faulty.url)
    for number in range(3):
        logs(run, number)
    assert run.flush(60)
    assert logged(faulty, "loss") == logged(faulty, "accuracy") == [(0, 0), (1, 1), (2, 2)]


def test_what_says_its_step_moves_no_other(
    faulty: FaultyCollector, attach: Attach, train: Train
) -> None:
    run = attach(url=faulty.url)
    run.log(loss=7.0, step=7)
    run.log(loss=8.0, step=7)
    run.alert("before the first step")
    train(1)
    run.log(loss=0.0)
    assert run.flush(60)
    assert logged(faulty, "loss") == [(7, 7), (7, 8), (0, 0)]
    assert measured(faulty) == [0]
