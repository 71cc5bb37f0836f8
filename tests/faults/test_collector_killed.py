"""A collector dies of kill -9 in the midst of a run, and another takes its place."""

from __future__ import annotations

import signal
from pathlib import Path

from htga_client import Client
from tests.faults.test_trainer_killed import deliver
from tests.support.processes import collecting, training

STEPS, PAUSE_AT = 120, 60


def stored_after_a_kill(folder: Path, spool: Path) -> tuple[list[int], list[float], list[float]]:
    """Steps and losses in the end, and the losses as computed; the first collector is killed."""
    with (
        collecting(folder / "data", "--no-dashboard") as collector,
        training(collector.url, folder / "out.json", steps=STEPS, pause_at=PAUSE_AT) as run,
    ):
        collector.end(signal.SIGKILL)
        run.go_on()
        with (
            collecting(folder / "data", "--no-dashboard", port=collector.port) as another,
            Client(another.url) as client,
        ):
            computed = [step["loss"] for step in run.computed()]
            deliver(spool, another.url)  # what it left, if it ended before the other had begun
            table = client.series(run.run_id, ["loss", "alpha_hat"], buckets=STEPS)
            assert client.run(run.run_id).state == "finished"
    return table["step"].to_pylist(), table["loss"].to_pylist(), computed


def test_no_step_is_lost_or_stored_twice_when_the_collector_is_killed(
    tmp_path: Path, spool: Path
) -> None:
    steps, losses, computed = stored_after_a_kill(tmp_path, spool)
    assert steps == list(range(STEPS))
    assert losses == computed


def test_control_steps_are_missing_if_what_the_trainer_holds_is_lost_as_well(
    tmp_path: Path,
) -> None:
    with (
        collecting(tmp_path / "data", "--no-dashboard") as collector,
        training(collector.url, tmp_path / "out.json", steps=STEPS, pause_at=PAUSE_AT) as run,
    ):
        collector.end(signal.SIGKILL)
        run.process.kill()
        with (
            collecting(tmp_path / "data", "--no-dashboard", port=collector.port) as another,
            Client(another.url) as client,
        ):
            table = client.series(run.run_id, ["loss"], buckets=STEPS)
    steps = table["step"].to_pylist()
    assert steps == list(range(len(steps)))
    assert len(steps) < STEPS
