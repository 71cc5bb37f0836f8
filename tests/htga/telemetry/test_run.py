from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from htga.telemetry import Run
from tests.support.faulty_collector import FaultyCollector

Attach = Callable[..., Run]
Train = Callable[[int], None]


def metrics_of(faulty: FaultyCollector) -> list[tuple[int, dict[str, float]]]:
    return [(row["step"], row["metrics"]) for row in faulty.rows if row["metrics"]]


def test_every_kind_of_number_is_logged(faulty: FaultyCollector, attach: Attach) -> None:
    run = attach(url=faulty.url)
    loss = torch.tensor(0.5, requires_grad=True) * 1
    run.log({"train/loss": loss, "hits": np.int64(3)}, epoch=2, done=True, half=np.float16(0.5))
    run.log(nan=math.nan, inf=math.inf, low=-math.inf, step=7)
    assert run.flush()
    (first, second) = metrics_of(faulty)
    assert first == (0, {"train/loss": 0.5, "hits": 3, "epoch": 2, "done": 1, "half": 0.5})
    assert second[0] == 7
    assert math.isnan(second[1].pop("nan"))
    assert second[1] == {"inf": math.inf, "low": -math.inf}


def test_what_is_no_number_is_left_out_with_one_warning_and_the_rest_arrives(
    faulty: FaultyCollector, attach: Attach, caplog: pytest.LogCaptureFixture
) -> None:
    run = attach(url=faulty.url)
    caplog.clear()
    odd: list[Any] = ["0.5", None, torch.ones(3), object(), [1], 10**400]
    for value in odd:
        run.log(loss=1.0, odd=value)
    assert run.flush()
    assert metrics_of(faulty) == [(step, {"loss": 1.0}) for step in range(len(odd))]
    assert sum("'odd' is not a number" in record.message for record in caplog.records) == 1


def test_the_step_is_the_optimizers_last(
    faulty: FaultyCollector, attach: Attach, train: Train
) -> None:
    run = attach(url=faulty.url)
    run.log(before=1)
    for _ in range(3):
        train(1)
        run.log(loss=1.0)
    assert run.flush()
    assert [step for step, _ in metrics_of(faulty)] == [0, 1, 2, 3]
    assert [row["step"] for row in faulty.rows if row["alpha_hat"] is not None] == [1, 2, 3]


def test_what_is_logged_at_a_step_that_is_no_number_is_kept_at_the_last(
    faulty: FaultyCollector, attach: Attach, train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    run = attach(url=faulty.url)
    train(3)
    steps: list[Any] = ["seven", 1.5, math.nan, 7.0, np.int32(8), torch.tensor(9)]
    for step in steps:
        run.log(loss=1.0, step=step)
    assert run.flush()
    assert [step for step, _ in metrics_of(faulty)] == [2, 2, 2, 7, 8, 9]
    (warning,) = [r for r in caplog.records if "step must be a whole number" in r.message]
    assert "'seven'; 2 is taken" in warning.message


def test_a_block_that_raises_fails_the_run_and_the_exception_goes_on(
    faulty: FaultyCollector, attach: Attach
) -> None:
    run = attach(url=faulty.url)

    def diverge() -> None:
        with run:
            run.log(loss=1.0)
            raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"):
        diverge()
    assert faulty.finished[run.id] == {"state": "failed", "logged": 1}
    assert metrics_of(faulty) == [(0, {"loss": 1.0})]


def test_everything_may_be_called_again_after_the_end(
    faulty: FaultyCollector, attach: Attach, train: Train
) -> None:
    run = attach(url=faulty.url)
    with run:
        train(2)
    run.finish("failed")
    run.detach()
    run.log(loss=1.0)
    train(1)
    assert not run.flush()
    assert faulty.finished[run.id]["state"] == "finished"
    assert faulty.steps() == [0, 1]
    assert run.stats.dropped == {"closed": 1}


def test_what_is_logged_to_a_finished_run_is_dropped_with_one_warning(
    faulty: FaultyCollector, attach: Attach, caplog: pytest.LogCaptureFixture
) -> None:
    former, run = attach(url=faulty.url), attach(url=faulty.url)
    former.log(loss=1.0)
    former.log(loss=torch.ones(()))
    run.log(loss=2.0)
    assert run.flush()
    assert metrics_of(faulty) == [(0, {"loss": 2.0})]
    (warning,) = [r for r in caplog.records if f"run {former.id} is finished" in r.message]
    assert warning.levelno == logging.WARNING
    assert former.stats.dropped == {"closed": 2}


def test_a_run_shows_where_it_is_to_be_seen(faulty: FaultyCollector, attach: Attach) -> None:
    run = attach(url=faulty.url)
    assert repr(run) == f"<htga run {run.id} on {run.url}>"
    disabled = attach(mode="disabled")
    assert repr(disabled) == f"<htga run {disabled.id}>"


def test_detached_runs_still_log(faulty: FaultyCollector, attach: Attach, train: Train) -> None:
    run = attach(url=faulty.url)
    train(1)
    run.detach()
    train(1)
    run.log(loss=1.0)
    assert run.flush()
    assert faulty.steps() == [0, 0]


def test_an_alert_reaches_the_log_and_the_collector(
    faulty: FaultyCollector, attach: Attach, train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    run = attach(url=faulty.url)
    train(3)
    run.alert("diverging", "the loss is NaN", level="error")
    assert run.flush()
    (row,) = [row for row in faulty.rows if row["event"]]
    event = {"kind": "alert", "level": "error", "title": "diverging", "text": "the loss is NaN"}
    assert (row["step"], json.loads(row["event"])) == (2, event)
    assert ("htga", logging.ERROR, "diverging: the loss is NaN") in caplog.record_tuples


def test_steps_go_on_from_where_they_are_told(
    faulty: FaultyCollector, attach: Attach, train: Train
) -> None:
    run = attach(url=faulty.url, step=100)
    run.log(before=1)
    train(2)
    run.log(loss=1.0)
    assert run.flush()
    assert faulty.steps() == [99, 100, 101, 101]
    assert run.state_dict() == {"run_id": run.id, "step": 102}
