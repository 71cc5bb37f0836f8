"""The record of the presets: the committed results, and the command that makes them."""

from dataclasses import replace
from pathlib import Path

import pytest

from docs import optimizer_record
from docs.optimizer_record import adjusted, first_engine, lines, read, summary, tables
from htga.experiments import record
from htga.experiments.methods import Method
from htga.experiments.tasks import TASKS
from htga.optim import PRESETS
from htga.optim.settings import DEFAULT

DOCUMENT = Path(__file__).parents[3] / "docs" / "optimizer.md"


def test_the_documented_tables_are_made_of_the_committed_results() -> None:
    assert summary() in DOCUMENT.read_text(encoding="utf-8")
    assert tables() == optimizer_record.TABLES.read_text(encoding="utf-8")


def test_the_default_is_worse_than_its_base_on_no_task() -> None:
    for name, task in TASKS.items():
        for engine in optimizer_record.ENGINES:
            for line, p in adjusted(task, engine):
                if f"{DEFAULT} +" in line.method and line.loss is not None and p is not None:
                    assert line.loss.mean <= 0 or p > optimizer_record.SIGNIFICANT, (name, line)


def test_every_preset_was_tested_on_every_task_with_seeds_that_tuned_nothing() -> None:
    for task in TASKS.values():
        found = {line.method: line for line in lines(task) if line.engine == first_engine(task)}
        assert set(found) == {method.name for method in record.methods_for(task)}
        for line in found.values():
            assert len({row["seed"] for row in line.rows}) == len(line.rows) == task.n
            tuning = range(record.TUNING_SEED, record.TUNING_SEED + task.n_tuning)
            assert not {int(row["seed"]) for row in line.rows} & set(tuning)
    assert {m.settings["preset"] for m in record.PRESETS if m.settings} == set(PRESETS)


def test_an_interrupted_record_goes_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = replace(TASKS["digits"], steps=2, n=3, n_tuning=1)
    guard = Method("SGD", settings={"preset": "guard"})
    monkeypatch.setattr(optimizer_record, "TASKS", {task.name: task})
    monkeypatch.setattr(record, "BASES", (Method("SGD"),))
    monkeypatch.setattr(record, "PRESETS", (guard,))
    for name in ("TESTS", "SEARCHES"):
        monkeypatch.setattr(optimizer_record, name, tmp_path / f"{name}.csv")
    optimizer_record.measure(task, [(Method("SGD"), False)])
    first = read(tmp_path / "TESTS.csv")
    assert len(first) == 3
    optimizer_record.measure(task, [(Method("SGD"), False), (guard, False)])
    assert read(tmp_path / "TESTS.csv")[:3] == first
    assert len(read(tmp_path / "TESTS.csv")) == 6
    assert "digits: 2 of 2, guard + SGD" in capsys.readouterr().out
    base, preset = lines(task)
    assert base.loss is None
    assert preset.loss is not None
    assert preset.loss.n == 3
    assert "| guard + SGD | " in summary()
    assert "## digits: replicas" in tables()
