from __future__ import annotations

import json
import socket
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from htga.cli import connect
from htga.cli.main import app
from htga_client import wire
from htga_client.sender.sender import Sender
from htga_server.http.server import Server
from tests.support.rows import new_run

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def htga(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def read_json(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def run_id(api: httpx2.Client) -> str:
    made = api.post("/runs", json=new_run(name="[bold]markup[/bold]", config={"lr": 0.1})).json()
    rows = [{"step": i, "alpha_bar": 1.5, "metrics": {"loss": 1 / (i + 1)}} for i in range(10)]
    rows[-1]["alpha_bar"] = "NaN"
    api.post(f"/runs/{made['id']}/rows", json={"rows": rows})
    return str(made["id"])


@sqlite_only
def test_runs_are_listed_for_people_and_for_programs(collector: Server, run_id: str) -> None:
    (run,) = read_json(htga("runs", "ls", "--json", "--url", collector.url))
    assert (run["id"], run["last_step"], run["summary"]["alpha_bar"]) == (run_id, 9, "NaN")
    shown = htga("runs", "ls", "--url", collector.url).stdout
    assert "running" in shown
    assert "markup" in shown


@sqlite_only
def test_a_collector_says_how_it_is_doing(collector: Server, run_id: str) -> None:
    said = read_json(htga("status", "--json", "--url", collector.url))
    assert (said["runs"], said["running"], said["rows_total"]) == (1, 1, 10), run_id
    assert said["commit_ms"]["p50"] <= said["commit_ms"]["p95"]
    shown = htga("status", "--url", collector.url).stdout
    assert "sqlite" in shown
    assert "commit_ms.p95" in shown


@sqlite_only
def test_a_run_is_shown_with_its_config(collector: Server, run_id: str) -> None:
    shown = htga("runs", "show", run_id, "--url", collector.url)
    assert "config.lr" in shown.stdout
    assert "[bold]markup[/bold]" in shown.stdout


@sqlite_only
def test_a_deleted_run_is_gone_until_it_is_restored(collector: Server, run_id: str) -> None:
    refused = CliRunner().invoke(app, ["runs", "rm", run_id, "--url", collector.url], input="n\n")
    assert refused.exit_code == 1
    assert htga("runs", "rm", run_id, "--yes", "--url", collector.url).exit_code == 0
    assert read_json(htga("runs", "ls", "--json", "--url", collector.url)) == []
    assert htga("runs", "restore", run_id, "--url", collector.url).exit_code == 0
    (run,) = read_json(htga("runs", "ls", "--json", "--url", collector.url))
    assert run["id"] == run_id


@sqlite_only
def test_a_finished_run_is_archived_and_queried(
    collector: Server, api: httpx2.Client, run_id: str
) -> None:
    api.post(f"/runs/{run_id}/finish", json={})
    (archive,) = read_json(htga("archive", "create", "--all", "--json", "--url", collector.url))
    assert archive["rows"] == {"steps": 10, "metrics": 10}
    sql = "SELECT run_id, count(*) AS n, max(value) AS top FROM metrics GROUP BY run_id"
    rows = read_json(htga("query", sql, "--json", "--url", collector.url))
    assert rows == [{"run_id": run_id, "n": 10, "top": 1.0}]
    assert run_id in htga("archive", "ls", "--json", "--url", collector.url).stdout


@sqlite_only
def test_without_a_collector_the_data_folder_is_read(
    collector: Server, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector.stop()
    monkeypatch.setattr("htga.cli.connect.DEFAULT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("HTGA_DATABASE_URL", f"sqlite:///{tmp_path / 'htga.db'}")
    (run,) = read_json(htga("runs", "ls", "--json", "--data", str(tmp_path)))
    assert run["id"] == run_id


@sqlite_only
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("runs", "show", "nonsense"), "no run 'nonsense'"),
        (("query", "SELEC 1"), "SELEC"),
        (("runs", "ls", "--url", "ftp://x"), "ftp://x"),
        (("archive", "create"), "--all"),
    ],
)
def test_an_error_is_one_sentence(
    collector: Server, arguments: tuple[str, ...], words: str
) -> None:
    if "--url" not in arguments:
        arguments = (*arguments, "--url", collector.url)
    result = htga(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("htga: ")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@sqlite_only
def test_a_port_in_use_is_one_sentence(collector: Server, tmp_path: Path) -> None:
    for command in ("up", "demo"):
        result = htga(command, "--port", str(collector.port), "--data", str(tmp_path / "other"))
        assert result.exit_code == 1
        assert result.stderr == (
            f"htga: cannot listen on 127.0.0.1:{collector.port}: Address already in use; "
            "choose another with --port\n"
        )


def test_nobody_listens_beyond_this_machine_by_accident(tmp_path: Path) -> None:
    result = htga("up", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path))  # noqa: S104
    assert result.exit_code == 1
    assert "--insecure" in result.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_sync_says_what_it_cannot_do_and_leaves_everything_where_it_is(
    tmp_path: Path, spool: Path
) -> None:
    missing = htga("sync", "--dir", str(tmp_path / "nowhere"))
    assert missing.exit_code == 1
    assert "there is no such folder" in missing.output
    run = wire.NewRun(id=str(uuid.uuid4()), project="p", name="n")
    sender = Sender(None, run, folder=spool)
    sender.put({"step": 0, "time": 1.0})
    assert sender.finish(timeout=20)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        gone = htga("sync", "--dir", str(spool), "--url", url)
    assert gone.exit_code == 1
    assert f"{url} takes no rows; the remaining ones stay on disk" in gone.output
    assert len(list(spool.rglob("*.seg"))) == 1


@sqlite_only
def test_sync_of_nothing_says_so(collector: Server, spool: Path) -> None:
    spool.mkdir()
    assert "Nothing to deliver" in htga("sync", "--url", collector.url).output


def test_without_the_packages_of_a_collector_reading_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(connect, "DEFAULT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setitem(sys.modules, "htga_server.app", None)
        result = htga("runs", "ls", "--data", str(tmp_path))
    assert result.exit_code == 1
    assert "in a clone of HTGA, pip install '.[server]'" in result.stderr
