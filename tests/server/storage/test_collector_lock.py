"""One collector alone uses a SQLite file; reading it needs no leave."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from htga.cli.main import app
from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.settings import Settings
from htga_server.storage.database import Database
from tests.support.processes import Collector, collecting
from tests.support.rows import new_run


def htga(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def nobody_on_the_default_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("htga.cli.connect.DEFAULT_URL", "http://127.0.0.1:9")


def test_a_second_collector_on_one_file_is_refused_and_reading_is_not(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    with collecting(tmp_path, "--no-dashboard") as first:
        run = httpx2.post(f"{first.url}/api/v1/runs", json=new_run(), timeout=60).json()["id"]
        link = tmp_path / "link.db"
        link.symlink_to(tmp_path / "htga.db")
        for command in (
            ("runs", "rm", run, "--yes", *data),
            ("archive", "create", "--all", *data),
            ("db", "prune", *data),
            ("up", "--port", "0", *data),
            ("demo", "--port", "0", *data),
            ("up", "--port", "0", "--db", f"sqlite:///{link}"),
        ):
            refused = CliRunner(env={"HTGA_KEEP_DAYS": "1"}).invoke(app, command)
            assert refused.exit_code == 1, refused.output
            assert f"process {first.process.pid} on " in refused.stderr
            assert "--data" in refused.stderr
            assert len(refused.stderr.splitlines()) == 1
        for read in (
            htga("runs", "ls", *data),
            htga("query", "SELECT id FROM runs", *data),
            htga("status", *data),
            htga("db", "backup", str(tmp_path / "copy.db"), *data),
            htga("db", "upgrade", *data),
            htga("token", "create", "one", *data),
            htga("token", "ls", *data),
        ):
            assert read.exit_code == 0, read.output
        (listed,) = json.loads(htga("runs", "ls", "--json", *data).stdout)
        assert listed["id"] == run
        assert httpx2.get(f"{first.url}/readyz", timeout=60).status_code == 200


def test_a_killed_collector_leaves_the_file_free(tmp_path: Path) -> None:
    first = Collector(tmp_path, "--no-dashboard")
    first.end(signal.SIGKILL)
    with collecting(tmp_path, "--no-dashboard") as second:
        assert httpx2.get(f"{second.url}/readyz", timeout=60).status_code == 200
    assert f"process {second.process.pid} on" in (tmp_path / "htga.db.lock").read_text()


def test_a_closed_database_can_be_claimed_again(settings: Settings) -> None:
    first, second = Database(settings.url), Database(settings.url)
    first.claim()
    first.claim()
    if first.dialect == "sqlite":
        with pytest.raises(ValueError, match=f"process {os.getpid()} on"):
            second.claim()
    first.close()
    second.claim()
    second.close()


def test_a_reader_does_no_chores_and_leaves_the_file_to_a_collector(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with (
        Server(create_app(settings, reader=True)).background() as reader,
        Server(create_app(settings)).background() as collector,
    ):
        httpx2.post(f"{collector.url}/api/v1/runs", json=new_run(), timeout=60)
        assert len(httpx2.get(f"{reader.url}/api/v1/runs", timeout=60).json()["items"]) == 1


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_filesystem_without_locks_is_named_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    database = Database(f"sqlite:///{tmp_path / 'htga.db'}")
    with caplog.at_level(logging.WARNING):
        database.claim()
    assert f"cannot be locked ({os.strerror(number)})" in caplog.text
    database.close()
