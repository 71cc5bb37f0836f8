"""When a run ends without `finish`."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path

import torch
from torch import nn

from htga import telemetry
from tests.support.faulty_collector import FaultyCollector


def make_optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.ones(100))], lr=0.1)


def step(optimizer: torch.optim.Optimizer) -> None:
    for parameter in optimizer.param_groups[0]["params"]:
        parameter.grad = torch.ones(100)
    optimizer.step()


def states(faulty: FaultyCollector) -> list[str]:
    return [how["state"] for how in faulty.finished.values()]


def no_threads_are_left() -> bool:
    for thread in threading.enumerate():
        if thread.name.startswith("htga-"):
            thread.join(20)
    return not any(thread.name.startswith("htga-") for thread in threading.enumerate())


def test_it_ends_once_both_it_and_its_optimizer_are_gone(
    faulty: FaultyCollector, tmp_path: Path
) -> None:
    optimizer = make_optimizer()
    run: telemetry.Run | None = telemetry.attach(optimizer, url=faulty.url, dir=tmp_path)
    run = None
    gc.collect()
    step(optimizer)  # this does not need the run
    assert faulty.wait(lambda: len(faulty.rows) == 1)
    assert (run, states(faulty)) == (None, [])
    del optimizer
    gc.collect()
    assert faulty.wait(lambda: states(faulty) == ["finished"])
    assert no_threads_are_left()


def test_it_goes_on_as_long_as_one_can_log_to_it(faulty: FaultyCollector, tmp_path: Path) -> None:
    run = telemetry.attach(make_optimizer(), url=faulty.url, dir=tmp_path)
    gc.collect()
    run.log(loss=1.0)
    assert run.flush(20)
    assert states(faulty) == []
    run.finish(timeout=20)
    assert no_threads_are_left()


def test_it_ends_where_its_optimizer_is_attached_again(
    faulty: FaultyCollector, tmp_path: Path
) -> None:
    optimizer = make_optimizer()
    for expected in (0, 1, 2):
        run = telemetry.attach(optimizer, url=faulty.url, dir=tmp_path)
        assert states(faulty) == ["finished"] * expected
        step(optimizer)
    assert run.flush(20)
    assert [row["step"] for row in faulty.rows] == [0, 0, 0]  # each is measured by one run
    run.finish(timeout=20)
    assert no_threads_are_left()


def test_nothing_holds_on_to_a_run_that_has_ended(faulty: FaultyCollector, tmp_path: Path) -> None:
    run = telemetry.attach(make_optimizer(), url=faulty.url, dir=tmp_path)
    sender = weakref.ref(run._sender)
    run.finish(timeout=20)
    assert no_threads_are_left()
    del run
    gc.collect()
    assert sender() is None
