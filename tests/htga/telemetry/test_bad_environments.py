"""Nothing but an error in its own arguments keeps `attach` from letting a training begin."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from htga import telemetry
from htga.telemetry import environment
from htga.telemetry.probe import Probe
from htga_client import Client
from htga_server.http.server import Server
from tests.support.anything import Hostile
from tests.support.faulty_collector import FaultyCollector

Attach = Callable[..., telemetry.Run]
Train = Callable[[int], None]
ELSEWHERE = "http://127.0.0.2.invalid:9"

VARIABLES = [
    {"ALL_PROXY": "socks5://user:secret@localhost:1"},
    {"all_proxy": "socks5h://user:secret@localhost:1"},
    {"HTTP_PROXY": "garbage"},
    {"HTTP_PROXY": "garbage:://user:secret@x"},
    {"HTTP_PROXY": "http://user:secret@[::1"},
    {"HTTP_PROXY": "ftp://user:secret@host"},
    {"HTTP_PROXY": "http://user:secret@host:99999999"},
    {"HTTPS_PROXY": "http://user:secret@ho st"},
    {"NO_PROXY": "[", "HTTP_PROXY": "\udcff"},
    {"SSL_CERT_FILE": "/no/such/file"},
    {"SSL_CERT_DIR": "/no/such/folder"},
]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Set variables of the environment, and no others that a library for HTTP reads."""

    def put(variables: dict[str, str]) -> None:
        for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


@pytest.mark.parametrize("variables", VARIABLES)
def test_a_proxy_or_certificate_that_cannot_be_used_is_a_collector_that_is_not_reached(
    attach: Attach,
    train: Train,
    say: Callable[[dict[str, str]], None],
    variables: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    spool: Path,
) -> None:
    say(variables)
    run = attach(url=ELSEWHERE)
    train(3)
    run.log(loss=1.0)
    assert not run.flush(0.3)
    assert (run.stats.queued, run.stats.dropped) == (4, {})
    assert list(spool.rglob("*.seg"))
    assert "secret" not in caplog.text


@pytest.mark.parametrize("variables", VARIABLES)
def test_no_proxy_keeps_a_run_from_a_collector_on_this_machine(
    faulty: FaultyCollector,
    attach: Attach,
    say: Callable[[dict[str, str]], None],
    variables: dict[str, str],
) -> None:
    say(variables)
    run = attach(url=faulty.url)
    run.log(loss=1.0)
    assert run.flush()


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


FACTS: list[tuple[object, str, Exception]] = [
    (importlib.metadata, "distributions", ValueError("broken")),
    (importlib.metadata.Distribution, "version", UnicodeDecodeError("utf-8", b"", 0, 1, "x")),
    (socket, "gethostname", UnicodeError("no")),
    (platform, "platform", OSError("no uname")),
    (os, "cpu_count", RuntimeError("no")),
    (Path, "cwd", FileNotFoundError("gone")),
    (Path, "exists", PermissionError("no")),
    (environment, "_git", RuntimeError("no")),
    (environment, "_devices", RuntimeError("no device")),
]


@pytest.mark.parametrize(("of", "name", "error"), FACTS)
def test_a_fact_that_cannot_be_found_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, of: Any, name: str, error: Exception
) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    whole = environment.describe(optimizer, torch.nn.Sequential())
    failing = raising(error)
    monkeypatch.setattr(of, name, property(failing) if name == "version" else failing)
    facts = environment.describe(optimizer, torch.nn.Sequential())
    assert len(whole.keys() - facts.keys()) <= 1
    assert facts["optimizer"]["class"] == "SGD"
    assert environment.project_name()


def test_a_run_begins_without_any_fact(
    faulty: FaultyCollector, attach: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    for of, name, error in FACTS[:6]:
        monkeypatch.setattr(of, name, raising(error))
    run = attach(url=faulty.url, dir="/no/such/folder")
    run.log(loss=1.0)
    assert run.flush()
    assert faulty.runs[run.id]["project"] == "default"


@pytest.mark.parametrize(
    "script", ["sleep 1000 & sleep 1000", "exit 3", "printf '\\377'", "kill -9 $$"]
)
def test_a_git_that_hangs_or_fails_or_babbles_holds_up_nothing(
    faulty: FaultyCollector,
    attach: Attach,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
) -> None:
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(f"#!/bin/sh\n{script}\n")
    git.chmod(0o755)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{git.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(environment, "GIT_TIMEOUT", 0.2)
    begin = time.monotonic()
    run = attach(url=faulty.url)
    assert time.monotonic() - begin < 60
    run.log(loss=1.0)
    assert run.flush()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_names_that_are_no_utf_8_are_kept_as_far_as_they_are(
    collector: Server, attach: Attach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / os.fsdecode(b"fol\xffder")
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [os.fsdecode(b"/x/tr\xfe.py")])
    monkeypatch.setattr(socket, "gethostname", lambda: os.fsdecode(b"h\xfdost"))
    with attach(url=collector.url) as run:
        run.log(loss=1.0)
    with Client(collector.url) as client:
        stored = client.run(run.id)
    assert stored.project == "fol\ufffdder"
    assert stored.environment["script"] == "tr\ufffd.py"
    assert stored.environment["host"] == "h\ufffdost"
    assert stored.summary["loss"] == 1.0


def test_a_current_folder_that_is_gone_is_no_obstacle(
    faulty: FaultyCollector, attach: Attach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.delenv("HTGA_DIR")
    run = attach(url=faulty.url)
    run.log(loss=1.0)
    assert run.flush()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("folder", ["/proc/none", "/dev/null/x", "x" * 300])
@pytest.mark.parametrize("home", [True, False])
def test_a_folder_that_cannot_be_written_is_no_obstacle(
    faulty: FaultyCollector,
    attach: Attach,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    home: bool,
) -> None:
    if not home:
        monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setenv("HTGA_DIR", folder)
    run = attach(url=faulty.url)
    run.log(loss=1.0)
    assert run.flush()


@pytest.mark.parametrize("which", ["setting", "key", "label", "optimizer"])
def test_an_object_that_raises_when_it_is_shown_is_named_by_its_type(
    faulty: FaultyCollector, attach: Attach, optimizer: torch.optim.Optimizer, which: str
) -> None:
    options: dict[str, Any] = {"config": {"lr": 0.1}}
    if which == "setting":
        options["config"] |= {"bad": Hostile(), "n": 10**5000}
    elif which == "key":
        options["config"] |= {Hostile(): 1}
    elif which == "label":
        options |= {"name": Hostile(), "tags": ["a", Hostile()], "group": Hostile()}
    else:
        optimizer.defaults["bad"] = Hostile()
    run = attach(url=faulty.url, **options)
    run.log(loss=1.0)
    assert run.flush()
    assert faulty.runs[run.id]["config"]["lr"] == 0.1
    assert "<Hostile that cannot be shown>" in str(faulty.runs[run.id])


def test_what_telemetry_cannot_do_is_said_and_training_goes_on(
    faulty: FaultyCollector,
    attach: Attach,
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Probe, "__init__", raising(RuntimeError("odd optimizer")))
    run = attach(url=faulty.url)
    train(2)
    run.log(loss=1.0)
    assert run.flush()
    assert faulty.steps() == [0]
    module = sys.modules["htga.telemetry.attach"]  # the package has a function of that name
    monkeypatch.setattr(module, "Sender", raising(RuntimeError("no threads")))
    nothing = attach(url=faulty.url)
    nothing.log(loss=1.0)
    nothing.finish()
    assert nothing.url == ""
    assert "the optimizer cannot be measured; training goes on" in caplog.text
    assert "telemetry cannot start; training goes on" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"url": "http://user:secret@host\nx"}, "url .* must look like"),
        ({"url": "http://user:secret@host:port"}, "url .* must look like"),
        ({"url": "user:secret@host"}, "url .* must look like"),
        ({"url": "http://user:se/cr/secret@host"}, "url .* must look like"),
        ({"url": "http://user:secret@host/api/v1/"}, "without /api/v1.*use 'http://host'"),
        ({"url": "http://host/htga/api/v1"}, "without /api/v1.*use 'http://host/htga'"),
        ({"url": "http://user:secret@host?token=x"}, "no query or fragment"),
        ({"url": "http://user:secret@host/#secret"}, "no query or fragment"),
        ({"url": 7}, "url .* must look like"),
        ({"token": 7}, "token must be"),
        ({"dir": 7}, "dir .* must be the path of a folder, got 7"),
        ({"dir": "a\0b"}, "dir .* must be the path of a folder"),
        ({"run_id": Hostile}, "run_id .* must be a UUID, got <Hostile"),
        ({"step": Hostile}, "step .* got <Hostile"),
        ({"budget": Hostile}, "budget .* got <Hostile"),
        ({"histograms": Hostile}, "histograms .* got <Hostile"),
        ({"resume": Hostile}, "resume .* got <Hostile"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named_and_a_password_never(
    optimizer: torch.optim.Optimizer, wrong: dict[str, Any], words: str
) -> None:
    # An object that cannot be shown is made here: pytest shows the parameters.
    given: dict[str, Any] = {
        name: value() if value is Hostile else value for name, value in wrong.items()
    }
    with pytest.raises(ValueError, match=words) as error:
        telemetry.attach(optimizer, **given)
    assert "secret@" not in str(error.value)


def test_a_password_in_an_address_is_used_and_never_shown(
    faulty: FaultyCollector, attach: Attach, caplog: pytest.LogCaptureFixture, spool: Path
) -> None:
    caplog.set_level(logging.DEBUG, "htga")
    address = faulty.url.replace("//", "//user:secret@")
    run = attach(url=address)
    run.log(loss=1.0)
    assert run.flush()
    sent = faulty.requests[0][2]["Authorization"]
    assert sent.startswith("Basic ")
    assert "secret" not in caplog.text + repr(run) + run.url + str(faulty.runs)
    assert all(b"secret" not in path.read_bytes() for path in spool.rglob("run.json"))
