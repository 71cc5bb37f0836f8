from __future__ import annotations

import argparse
import json
import logging
import math
import os
import signal
import subprocess
import textwrap
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import htga
from htga import telemetry
from htga.cli.main import app
from htga.telemetry.config import config_of
from htga.telemetry.environment import code_version, project_name
from htga_client import Client
from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.settings import Settings
from tests.support.faulty_collector import FaultyCollector
from tests.support.preloaded import PRELOADED

Attach = Callable[..., telemetry.Run]
Train = Callable[[int], None]


def test_a_run_is_stored_by_a_real_collector_step_by_step(
    collector: Server, attach: Attach, train: Train
) -> None:
    model = torch.nn.Linear(3, 2)
    with attach(url=collector.url, project="p", config={"lr": 0.1}, model=model) as run:
        train(150)
        run.log(loss=0.25)
    assert run.url == f"{collector.url}/run/{run.id}"
    with Client(collector.url) as client:
        stored = client.run(run.id)
        keys = ["alpha_hat", "alpha_bar", "grad_norm", "grad_norm_var", "loss"]
        table = client.series(run.id, keys).to_pydict()
        histograms = client.histograms(run.id)
    assert (stored.state, stored.last_step, stored.config) == ("finished", 149, {"lr": 0.1})
    assert stored.environment["torch"] == torch.__version__
    assert stored.environment["optimizer"]["class"] == "SGD"
    assert stored.environment["model"] == {"class": "Linear", "parameters": 8}
    assert table["step"] == list(range(150))
    assert all(value > 0 and math.isfinite(value) for value in table["alpha_hat"])
    assert table["grad_norm_var"][0] is None
    window = torch.tensor(table["grad_norm"][-100:], dtype=torch.float64)
    assert table["grad_norm_var"][-1] == pytest.approx(window.var().item())
    assert table["loss"] == [None] * 149 + [0.25]
    assert histograms.total == 150
    assert run.stats.acked == 151 + 8  # at each twentieth step the one layer, too


def test_a_collector_that_starts_later_gets_every_step_once(
    attach: Attach, train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    faulty = FaultyCollector().start()
    faulty.stop()
    caplog.set_level(logging.WARNING, "htga")
    run = attach(url=faulty.url)
    train(50)
    run.flush(0.05)
    train(50)
    faulty.start()
    assert run.flush()
    assert faulty.steps() == list(range(100))
    (message,) = [r.message for r in caplog.records if faulty.url in r.message]
    assert "unreachable" in message
    faulty.stop()


def test_a_real_collector_that_comes_goes_and_returns_has_every_step_once(
    tmp_path: Path, attach: Attach, train: Train
) -> None:
    settings = Settings(data=tmp_path)
    server = Server(create_app(settings))
    port, url = server.port, server.url
    run = attach(url=url)
    train(40)
    with server.background():
        assert run.flush()
        train(40)
        run.flush(0.01)
    train(40)
    with Server(create_app(settings), port=port).background():
        assert run.flush()
        run.finish()
        with Client(url) as client:
            assert client.series(run.id, "grad_norm")["step"].to_pylist() == list(range(120))
            assert client.run(run.id).state == "finished"
    assert run.stats.acked == 120


def test_htga_is_recognised_with_its_base_and_settings(
    faulty: FaultyCollector, optimizer: torch.optim.Optimizer
) -> None:
    run = telemetry.attach(htga.HTGA(optimizer, target_alpha=1.7), url=faulty.url)
    run.finish()
    facts = faulty.runs[run.id]["environment"]["optimizer"]
    assert (facts["class"], facts["base"]) == ("HTGA", "SGD")
    assert facts["settings"]["target_alpha"] == 1.7


def test_disabled_does_nothing_at_all(
    attach: Attach,
    train: Train,
    optimizer: torch.optim.Optimizer,
    capfd: pytest.CaptureFixture[str],
) -> None:
    no_optimizer: Any = None
    for nothing in (attach(mode="disabled"), telemetry.attach(no_optimizer, mode="disabled")):
        with nothing as run:
            train(2)
            run.log(loss=object())
            assert run.flush()
        assert run.url == ""
        assert run.stats.logged == 0
        assert uuid.UUID(run.id)
    assert not optimizer._optimizer_step_post_hooks
    assert capfd.readouterr() == ("", "")


def test_a_run_without_any_collector_is_delivered_later(
    collector: Server, attach: Attach, train: Train, spool: Path
) -> None:
    with attach(mode="offline", project="p", name="alone") as run:
        train(20)
        run.log(loss=0.5)
        assert run.flush()
    assert run.url == ""
    assert run.stats.queued == 21
    done = CliRunner().invoke(app, ["sync", "--url", collector.url, "--json"])
    assert done.exit_code == 0, done.output
    (synced,) = json.loads(done.stdout)
    assert (synced["run_id"], synced["name"], synced["acked"]) == (run.id, "alone", 21)
    with Client(collector.url) as client:
        stored = client.run(run.id)
        table = client.series(run.id, ["alpha_hat", "loss"])
    assert (stored.state, stored.project) == ("finished", "p")
    assert table["step"].to_pylist() == list(range(20))
    assert table["loss"].to_pylist() == [None] * 19 + [0.5]
    assert not list(spool.rglob("*.seg"))


def test_rows_meant_for_one_collector_are_not_sent_to_another_by_themselves(
    faulty: FaultyCollector, attach: Attach, train: Train, spool: Path
) -> None:
    attach(mode="offline", run_id=str(uuid.uuid4())).finish()
    with attach(url=faulty.url):
        train(3)
    assert len(faulty.runs) == 1
    assert len(list(spool.rglob("run.json"))) == 1


def test_steps_taken_again_after_a_checkpoint_are_a_new_attempt(
    collector: Server, attach: Attach, train: Train
) -> None:
    with attach(url=collector.url) as run:
        train(10)
        checkpoint = run.state_dict()
        train(5)
        run.log(loss=1.0)
    with attach(
        url=collector.url, run_id=checkpoint["run_id"], step=checkpoint["step"], resume="must"
    ) as again:
        again.log(loss=0.0)
        train(3)
        again.log(loss=2.0)
    with Client(collector.url) as client:
        table = client.series(run.id, ["loss", "grad_norm"])
        stored = client.run(run.id)
    assert table["step"].to_pylist() == list(range(15))
    losses = dict(zip(table["step"].to_pylist(), table["loss"].to_pylist(), strict=True))
    assert {step: loss for step, loss in losses.items() if loss is not None} == {
        9: 0.0, 12: 2.0, 14: 1.0,
    }  # fmt: skip
    assert None not in table["grad_norm"]
    assert (stored.attempt, stored.state) == (2, "finished")


ANEW: dict[str, Any] = {"project": "q", "name": "b", "group": "h", "tags": ["z"], "notes": "y"}


@pytest.mark.parametrize("mode", ["online", "offline", "killed"])
@pytest.mark.parametrize("given", [{}, {"notes": "y"}, ANEW], ids=list)
def test_a_run_that_is_continued_from_another_folder_is_delivered_and_keeps_its_labels(
    collector: Server,
    attach: Attach,
    train: Train,
    spool: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    given: dict[str, Any],
    mode: str,
) -> None:
    caplog.set_level(logging.INFO, "htga")
    own = {"project": "p", "name": "a", "group": "g", "tags": ["t"], "notes": "n"}
    with attach(url=collector.url, **own) as run:
        train(2)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    caplog.clear()
    if mode == "online":
        with attach(url=collector.url, run_id=run.id, step=2, **given) as again:
            train(3)
        assert again.name == "a"
        assert f"run a of p: {run.url}" in caplog.messages
        for name in ANEW:
            said = [text for text in caplog.messages if f"but its {name} stays" in text]
            assert len(said) == (name in given), name
    else:
        monkeypatch.setenv("HTGA_MODE", "offline")
        left = attach(run_id=run.id, step=2, **given)
        train(3)
        assert left.flush()
        if mode == "offline":
            left.finish()
        else:
            assert left._sender is not None
            left._sender.close()
        done = CliRunner().invoke(app, ["sync", "--url", collector.url, "--json"])
        assert done.exit_code == 0, done.output
    with Client(collector.url) as client:
        stored = client.run(run.id)
        assert client.series(run.id, "grad_norm")["step"].to_pylist() == list(range(5))
    assert (stored.project, stored.name, stored.group) == ("p", "a", "g")
    assert (stored.tags, stored.notes, stored.attempt) == (("t",), "n", 2)
    assert not list(spool.rglob("run.json"))


def test_resume_forbids_what_it_says(
    faulty: FaultyCollector, optimizer: torch.optim.Optimizer, attach: Attach
) -> None:
    known = attach(url=faulty.url).id
    assert faulty.wait(lambda: known in faulty.runs)
    with pytest.raises(ValueError, match=r"resume forbids this run_id: .* exists"):
        telemetry.attach(optimizer, url=faulty.url, run_id=known, resume="never")
    with pytest.raises(ValueError, match="resume forbids this run_id: no run"):
        telemetry.attach(optimizer, url=faulty.url, run_id=str(uuid.uuid4()), resume="must")
    assert attach(url=faulty.url, run_id=known, resume="must").id == known


def test_resume_does_not_keep_a_training_from_starting_without_a_collector(attach: Attach) -> None:
    absent = FaultyCollector().start()
    absent.stop()
    assert attach(url=absent.url, resume="must", run_id=str(uuid.uuid4())).stats.logged == 0


def test_the_code_that_ran_is_named(
    tmp_path: Path, faulty: FaultyCollector, attach: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code_version(tmp_path) == {}
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-C", str(tmp_path)]
    (tmp_path / "train.py").write_text("lr = 0.1\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "message"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert code_version(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "train.py").write_text("lr = 0.2\n")
    monkeypatch.chdir(tmp_path)
    run = attach(url=faulty.url)
    run.finish()
    facts = faulty.runs[run.id]["environment"]
    assert facts["code"] == {"commit": commit, "dirty": True}
    assert facts["packages"]["torch"] == torch.__version__
    assert facts["host"]


@dataclass
class Config:
    lr: float
    layers: tuple[int, ...]


@pytest.mark.parametrize(
    ("config", "stored"),
    [
        (None, {}),
        ({"lr": math.inf, 3: object}, {"lr": "Infinity", "3": "<class 'object'>"}),
        (Config(0.1, (1, 2)), {"lr": 0.1, "layers": [1, 2]}),
        (argparse.Namespace(lr=0.1, path=Path("/x")), {"lr": 0.1, "path": repr(Path("/x"))}),
    ],
)
def test_a_config_is_stored_as_json(
    faulty: FaultyCollector, attach: Attach, config: object, stored: dict[str, Any]
) -> None:
    run = attach(url=faulty.url, config=config)
    run.finish()
    assert faulty.runs[run.id]["config"] == stored


@pytest.mark.parametrize(
    ("name", "text"),
    [("c.yaml", "lr: 0.1\nlayers: [1, 2]\n"), ("c.json", '{"lr": 0.1, "layers": [1, 2]}')],
)
def test_a_config_may_be_a_file(
    tmp_path: Path, faulty: FaultyCollector, attach: Attach, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    run = attach(url=faulty.url, config=tmp_path / name)
    run.finish()
    assert faulty.runs[run.id]["config"] == {"lr": 0.1, "layers": [1, 2]}
    (tmp_path / name).write_text("[1, 2]")
    with pytest.raises(TypeError, match="must hold a mapping"):
        config_of(str(tmp_path / name))


def test_the_environment_speaks_where_an_argument_is_missing(
    faulty: FaultyCollector, attach: Attach, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = str(uuid.uuid4())
    settings = {
        "URL": faulty.url, "TOKEN": "secret", "PROJECT": "p", "NAME": "n", "GROUP": "g",
        "TAGS": "a, b,", "NOTES": "so so", "RUN_ID": run_id, "EVERY": "2", "MODE": "online",
        "STEP": "10", "HISTOGRAMS": "no", "RESUME": "allow",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"HTGA_{name}", value)
    run = attach(name="argument")
    train(4)
    run.finish()
    stored = faulty.runs[run_id]
    got = {name: stored[name] for name in ("project", "name", "group", "tags", "notes")}
    assert got == {
        "project": "p", "name": "argument", "group": "g", "tags": ["a", "b"], "notes": "so so",
    }  # fmt: skip
    assert faulty.steps() == [10, 12]
    assert [row["histogram"] for row in faulty.rows] == [None, None]
    assert faulty.requests[0][2]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"url": "ftp://host"}, ValueError, r"url \(or HTGA_URL\) must look like .*'ftp://host'"),
        ({"mode": "off"}, ValueError, r"mode \(or HTGA_MODE\) must be one of .* got 'off'"),
        ({"resume": "yes"}, ValueError, r"resume \(or HTGA_RESUME\) must be one of .* got 'yes'"),
        ({"step": -1}, ValueError, r"step \(or HTGA_STEP\) must be .* at least 0, got -1"),
        ({"histograms": "maybe"}, ValueError, "histograms .* must be true or false, got 'maybe'"),
        ({"config": "/no/such.yaml"}, ValueError, "config '/no/such.yaml' cannot be read"),
        ({"run_id": "mine"}, ValueError, r"run_id \(or HTGA_RUN_ID\) must be a UUID, got 'mine'"),
        ({"every": 0}, ValueError, r"every \(or HTGA_EVERY\) must be .* got 0"),
        ({"every": 1.5}, ValueError, r"every \(or HTGA_EVERY\) must be .* got 1.5"),
        ({"updates_every": -1}, ValueError, r"updates_every \(or HTGA_UPDATES_EVERY\) .* got -1"),
        (
            {"tails": ["gradient", "updates"]},
            ValueError,
            r"tails \(or HTGA_TAILS\) must be some of .* got 'updates'; did you mean 'update'\?",
        ),
        ({"tails": 3}, ValueError, r"tails \(or HTGA_TAILS\) must be some of .* got '3'"),
        (
            {"tails": "weight", "updates_every": 0},
            ValueError,
            r"tails \(or HTGA_TAILS\) has 'weight', .* updates_every \(or .*\) is 0",
        ),
        ({"sample": -1}, ValueError, r"sample \(or HTGA_SAMPLE\) must be .* at least 0, got -1"),
        ({"config": 3}, TypeError, "config must be .* got 3"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused_by_name_and_value(
    optimizer: torch.optim.Optimizer, wrong: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        telemetry.attach(optimizer, **wrong)
    assert not optimizer._optimizer_step_post_hooks


def test_a_thing_that_is_no_optimizer_is_refused() -> None:
    wrong: Any = torch.nn.Linear(1, 1)
    with pytest.raises(TypeError, match=r"optimizer must be a torch.optim.Optimizer, got Linear"):
        telemetry.attach(wrong)


def test_the_project_is_the_repository_or_else_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "repo" / "src" / "deep"
    inner.mkdir(parents=True)
    assert project_name(inner) == "deep"
    (tmp_path / "repo" / ".git").write_text("gitdir: elsewhere")  # a worktree has a file
    assert project_name(inner) == "repo"
    assert project_name(Path("/")) == "default"


SCRIPT = """
    import sys, torch
    from htga import telemetry
    parameter = torch.nn.Parameter(torch.ones(2000))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    run = telemetry.attach(optimizer, url=sys.argv[1], project="p")
    for _ in range(30):
        parameter.grad = torch.randn(2000)
        optimizer.step()
        run.log(loss=1.0)
"""


def run_script(url: str, *rest: str) -> subprocess.CompletedProcess[str]:
    script = textwrap.dedent(SCRIPT) + "\n".join(rest)
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith("HTGA_") or k == "HTGA_DIR"
    }
    return subprocess.run(
        [*PRELOADED, "-c", script, url],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_a_script_that_just_ends_delivers_everything(faulty: FaultyCollector) -> None:
    done = run_script(faulty.url)
    assert done.returncode == 0
    (run_id,) = faulty.runs
    assert faulty.finished[run_id] == {"state": "finished", "logged": 60}
    assert sorted(faulty.steps()) == sorted([*range(30)] * 2)
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"{faulty.url}/run/{run_id}")
    assert done.stdout == ""


@pytest.mark.slow
def test_a_script_that_dies_of_an_exception_delivers_and_fails_the_run(
    faulty: FaultyCollector,
) -> None:
    done = run_script(faulty.url, "raise KeyError('oops')")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "KeyError: 'oops'"
    (how,) = faulty.finished.values()
    assert how == {"state": "failed", "logged": 60}


@pytest.mark.slow
def test_without_a_collector_a_script_ends_soon_and_the_next_delivers_its_rows(
    faulty: FaultyCollector,
) -> None:
    faulty.stop()
    done = run_script(faulty.url)
    assert done.returncode == 0
    _, warning, rest = done.stderr.splitlines()
    assert warning.startswith(f"htga: {faulty.url} is unreachable")
    assert rest.startswith("htga: 60 rows stay on disk; the next run delivers them, or: htga sync")
    faulty.start()
    again = run_script(faulty.url)
    assert again.returncode == 0
    assert any("delivered 60 rows" in line for line in again.stderr.splitlines())
    assert sorted(faulty.steps()) == sorted([*range(30)] * 4)
    assert len(faulty.finished) == 2


@pytest.mark.slow
def test_a_loader_that_forks_does_not_hang_and_leaves_the_run_alone(
    faulty: FaultyCollector,
) -> None:
    done = run_script(
        faulty.url,
        "from torch.utils.data import DataLoader",
        "loader = DataLoader(range(64), num_workers=2, multiprocessing_context='fork')",
        "assert len(list(loader)) == 64",
    )
    assert done.returncode == 0, done.stderr
    assert len({row["writer"] for row in faulty.rows}) == 1
    (how,) = faulty.finished.values()
    assert how == {"state": "finished", "logged": 60}


@pytest.mark.slow
def test_an_interrupted_script_fails_the_run(faulty: FaultyCollector) -> None:
    done = run_script(
        faulty.url,
        "import signal",
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored",
        "signal.raise_signal(signal.SIGINT)",
    )
    assert done.returncode == -signal.SIGINT
    (how,) = faulty.finished.values()
    assert how["state"] == "failed"
