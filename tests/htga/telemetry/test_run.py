from __future__ import annotations

import json
import logging
import math
from collections import UserDict
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import httpx2
import numpy as np
import pytest
import torch

from htga.telemetry import Run
from htga_client import Client
from htga_client.wire import PREFIX
from htga_server.http.server import Server
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


class Raising:
    """A thing that raises whatever is asked of it."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __float__(self) -> float:
        raise self.error("no")

    __repr__ = __str__ = __index__ = item = __float__  # type: ignore[assignment]


class Numbered(IntEnum):
    """A number with a name."""

    TWO = 2


ONE: list[tuple[Any, float]] = [
    (np.ones((1, 1, 1)), 1.0),
    (np.array(2), 2.0),
    (np.bool_(True), 1.0),
    (np.longdouble(0.5), 0.5),
    (torch.ones(1, 1, requires_grad=True), 1.0),
    (torch.tensor([True]), 1.0),
    (torch.tensor(3, dtype=torch.bfloat16), 3.0),
    (Decimal("0.25"), 0.25),
    (Fraction(1, 8), 0.125),
    (True, 1.0),
    (2**53, 2.0**53),
    (Numbered.TWO, 2.0),
    (np.ma.masked, math.nan),
]


@pytest.mark.parametrize("at", range(len(ONE)))
def test_whatever_holds_one_number_is_that_number(
    faulty: FaultyCollector, attach: Attach, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    value, number = ONE[at]
    run = attach(url=faulty.url)
    caplog.clear()
    run.log(one=value, loss=0.5)
    assert run.flush()
    ((_, metrics),) = metrics_of(faulty)
    assert metrics["loss"] == 0.5
    assert metrics["one"] == number or (math.isnan(number) and math.isnan(metrics["one"]))
    assert not caplog.records


BAD_VALUES: list[Any] = [
    Raising(ValueError), Raising(RuntimeError), Raising(KeyError), Raising(StopIteration),
    Raising(RecursionError), Raising(MemoryError), Raising(AssertionError),
    torch.ones(1, device="meta"), torch.ones((), dtype=torch.complex64), torch.ones(0),
    np.ones(2), np.array("0.5"), np.array([None]), b"1", "nan", None, [1.0], {"a": 1}, 1j,
    10**400, -(10**5000), Decimal("sNaN"), Fraction(10**400), float, lambda: 1.0,
]  # fmt: skip


def test_a_value_that_is_no_number_costs_no_other_and_is_named_once(
    faulty: FaultyCollector, attach: Attach, caplog: pytest.LogCaptureFixture
) -> None:
    run = attach(url=faulty.url)
    caplog.clear()
    for _ in range(2):
        run.log({f"bad{at}": value for at, value in enumerate(BAD_VALUES)}, step=0, loss=1.0)
    assert run.flush()
    assert metrics_of(faulty) == [(0, {"loss": 1.0})] * 2
    for at in range(len(BAD_VALUES)):
        assert sum(f"'bad{at}' is not a number" in r.message for r in caplog.records) == 1


@pytest.mark.parametrize("value", [2**53 + 1, np.int64(2**60 + 1), torch.tensor(-(2**62) - 1)])
def test_an_integer_that_a_float_cannot_hold_is_rounded_and_said_so_once(
    faulty: FaultyCollector, attach: Attach, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    run = attach(url=faulty.url)
    for _ in range(2):
        run.log(count=value, step=0)
    assert run.flush()
    assert metrics_of(faulty) == [(0, {"count": float(int(value))})] * 2
    assert sum("is rounded to" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_name_that_cannot_be_kept_costs_no_other_and_each_reason_is_named_once(
    collector: Server, attach: Attach, caplog: pytest.LogCaptureFixture
) -> None:
    run = attach(url=collector.url)
    caplog.clear()
    bad = ["", "x" * 2000, "y" * 1025, "a\0", "\ud800", "\udcff"]
    odd: list[Any] = [*bad, "loss", 7, ("a", 1), Raising(ValueError)]
    for _ in range(2):
        run.log(dict.fromkeys(odd, 1.0), step=0)
        run.log(dict.fromkeys([*bad, "torch"], torch.tensor(1.0)), step=0)
    assert run.flush()
    with Client(collector.url) as client:
        assert set(client.run(run.id).metrics) >= {"loss", "7", "('a', 1)", "torch"}
        assert len(client.run(run.id).metrics) == 5
    told = [record.message for record in caplog.records]
    for reason in ("is empty", "more than 1024 characters", "a NUL or a lone surrogate"):
        assert sum(reason in message for message in told) == 1
    assert len(told) == 3


@pytest.mark.parametrize("count", [256, 257, 700])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_of_many_metrics_of_one_step_each_arrives(
    collector: Server, attach: Attach, count: int
) -> None:
    run = attach(url=collector.url)
    run.log({f"m{i}": float(i) for i in range(count)}, step=3)
    run.log({f"m{i}": i + 1 for i in range(count)}, step=4)
    assert run.flush()
    with Client(collector.url) as client:
        stored = client.run(run.id)
    assert stored.summary == {f"m{i}": i + 1.0 for i in range(count)}
    assert stored.last_step == 4
    assert not run.stats.dropped


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_metrics_beyond_a_runs_limit_cost_no_other_and_are_named_once(
    collector: Server, attach: Attach, caplog: pytest.LogCaptureFixture
) -> None:
    run = attach(url=collector.url)
    for step in range(20):
        run.log({f"m{i}": 1.0 for i in range(60 * step, 60 * step + 60)}, step=step)
        run.log(loss=float(step), step=step)
        assert run.flush()
    assert not run.stats.dropped
    with Client(collector.url) as client:
        stored = client.run(run.id)
        assert client.series(run.id, "loss")["loss"].to_pylist() == [float(s) for s in range(20)]
    assert len(stored.metrics) == 1000
    told = [r.message for r in caplog.records if "a run has at most 1000 metrics" in r.message]
    assert len(told) == 1
    assert "leaves out the metric 'm" in told[0]


class Lazy(UserDict[str, Any]):
    """A mapping with a value that cannot be made."""

    def __getitem__(self, name: str) -> Any:
        if name == "lazy":
            raise OSError("gone")
        return super().__getitem__(name)


def test_metrics_that_cannot_be_read_as_a_mapping_cost_no_named_ones(
    faulty: FaultyCollector, attach: Attach
) -> None:
    run = attach(url=faulty.url)
    odd: list[Any] = [[1, 2], 3, "loss", Lazy(lazy=1.0, other=2.0)]
    for metrics in odd:
        run.log(metrics, loss=1.0)
    assert run.flush()
    assert [metrics["loss"] for _, metrics in metrics_of(faulty)] == [1.0] * len(odd)
    assert metrics_of(faulty)[-1][1] == {"loss": 1.0, "other": 2.0}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_alert_of_any_text_arrives(collector: Server, attach: Attach) -> None:
    run = attach(url=collector.url)
    texts: list[Any] = ["a\0b", "\ud800", "x" * 50_000, "😀" * 50_000, 7, Raising(ValueError)]
    for text in texts:
        run.alert(text, text)
    assert run.flush()
    with httpx2.Client(base_url=collector.url + PREFIX, timeout=60) as api:
        events = api.get(f"/runs/{run.id}/events").json()["items"]
    assert len(events) == len(texts)
    assert all(event["title"] for event in events)


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
    last: list[Any] = ["seven", 1.5, math.nan, -1, 2**53, 10**5000, Raising(KeyError), [1]]
    steps = [*last, 7.0, np.int32(8), torch.tensor(9)]
    for step in steps:
        run.log(loss=1.0, step=step)
    assert run.flush()
    assert [step for step, _ in metrics_of(faulty)] == [*[2] * len(last), 7, 8, 9]
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
