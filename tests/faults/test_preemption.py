"""A scheduler ends a training by a signal; its rows and its state arrive."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.faults.test_trainer_killed import deliver
from tests.support.faulty_collector import FaultyCollector
from tests.support.preloaded import PRELOADED
from tests.support.processes import ROOT

SIGNALS = [signal.SIGTERM, signal.SIGUSR1]

SCRIPT = """
import os, signal, sys
import torch
from htga import telemetry

def signalled(how):
    os.kill(os.getpid(), how)
    while True:
        signal.pause()

url, folder, how, before, install = sys.argv[1:6]
how = signal.Signals(int(how))
exec(before)
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(8))], lr=0.1)
run = telemetry.attach(optimizer, url=url, project="p", dir=folder)
if install == "yes":
    telemetry.install_preemption_handler(run)
    telemetry.install_preemption_handler(run)  # again changes nothing
assert run.flush(20)
for step in range(50):
    run.log(step=step, loss=1.0)
"""
DIES = "signalled(how)"


def script(
    faulty: FaultyCollector,
    folder: Path,
    how: signal.Signals,
    ending: str = DIES,
    *,
    before: str = "",
    install: bool = True,
    source: str = SCRIPT,
) -> tuple[int, str]:
    """Exit status and stdout."""
    done = subprocess.run(
        [
            *(*PRELOADED, "-c", source + ending),
            *(faulty.url, str(folder), str(int(how)), before, "yes" if install else "no"),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def steps(faulty: FaultyCollector) -> list[int]:
    return [row["step"] for row in faulty.rows if row["event"] is None]


@pytest.mark.parametrize("how", SIGNALS)
def test_every_row_arrives_and_the_run_is_marked_failed(
    tmp_path: Path, faulty: FaultyCollector, how: signal.Signals
) -> None:
    assert script(faulty, tmp_path, how) == (-how, "")
    assert steps(faulty) == list(range(50))
    (finish,) = faulty.finished.values()
    assert finish["state"] == "failed"
    (event,) = [json.loads(row["event"]) for row in faulty.rows if row["event"] is not None]
    assert event["title"] == f"told to end by {how.name}"


@pytest.mark.parametrize("how", SIGNALS)
def test_control_without_the_handler_rows_and_state_are_missing(
    tmp_path: Path, faulty: FaultyCollector, how: signal.Signals
) -> None:
    assert script(faulty, tmp_path, how, install=False) == (-how, "")
    assert len(steps(faulty)) < 50
    assert faulty.finished == {}


@pytest.mark.parametrize("how", SIGNALS)
def test_a_handler_of_the_unreachedcomes_after_and_the_run_goes_on(
    tmp_path: Path, faulty: FaultyCollector, how: signal.Signals
) -> None:
    before = "signal.signal(how, lambda *_: print(run.stats.acked, run.stats.queued))"
    ending = "signal.raise_signal(how)\nrun.log(step=50, loss=1.0)\nrun.finish()"
    assert script(faulty, tmp_path, how, ending, before=before) == (0, "51 0\n")  # and the event
    assert steps(faulty) == list(range(51))
    (finish,) = faulty.finished.values()
    assert finish["state"] == "finished"


def test_a_signal_that_was_ignored_is_still(tmp_path: Path, faulty: FaultyCollector) -> None:
    before = "signal.signal(how, signal.SIG_IGN)"
    ending = "signal.raise_signal(how)\nrun.finish()"
    assert script(faulty, tmp_path, signal.SIGUSR1, ending, before=before) == (0, "")
    assert steps(faulty) == list(range(50))


def test_a_child_that_is_ended_does_not_end_the_run(
    tmp_path: Path, faulty: FaultyCollector
) -> None:
    ending = """
child = os.fork()
if child == 0:
    signalled(how)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
run.finish()
"""
    assert script(faulty, tmp_path, signal.SIGTERM, ending) == (0, f"{-signal.SIGTERM}\n")
    (finish,) = faulty.finished.values()
    assert finish["state"] == "finished"
    assert all(row["event"] is None for row in faulty.rows)


def test_with_the_collector_gone_the_process_ends_and_its_rows_are_on_disk(
    tmp_path: Path, faulty: FaultyCollector
) -> None:
    faulty.stop()
    unreached = SCRIPT.replace("assert run.flush(20)", "")
    assert script(faulty, tmp_path, signal.SIGTERM, source=unreached) == (-signal.SIGTERM, "")
    faulty.start()
    deliver(tmp_path, faulty.url)
    assert steps(faulty) == list(range(50))
    (finish,) = faulty.finished.values()
    assert finish["state"] == "failed"
