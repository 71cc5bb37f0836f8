"""What an operator sees and does."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import sqlalchemy as sa

from htga_client.wire import ARROW_STREAM, PREFIX
from htga_server.app import create_app
from htga_server.archive.housekeeping import Housekeeping
from htga_server.http.server import Server
from htga_server.settings import Settings
from htga_server.storage.tables import runs
from tests.support.load import Load, lost, running
from tests.support.processes import Collector
from tests.support.rows import new_run, probe_rows, stream

SIGNS = ("\r", "\n", "\r\n\r\n", "\x1b[2J", "\0", "\x85", "\u2028", "\u2029", "\u202e", "\ufeff")
"""What ends a line, moves a terminal's cursor or turns text round."""


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'htga.db'}"


def metrics_of(url: str) -> dict[str, float]:
    """The samples of /metrics by name and labels."""
    lines = httpx2.get(f"{url}/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_rows_requests_and_commits_are_counted(collector: Server) -> None:
    with httpx2.Client(base_url=collector.url + PREFIX) as api:
        run = new_run()
        api.post("/runs", json=run)
        rows = {"rows": [{"step": 1, "alpha_hat": 1.0}, {"step": -1, "alpha_hat": 1.0}]}
        api.post(f"/runs/{run['id']}/rows", json=rows)
        api.get("/nowhere/<script>")
    found = metrics_of(collector.url)
    assert found['htga_ingest_rows_total{result="accepted"}'] == 1
    assert found['htga_ingest_rows_total{result="rejected"}'] == 1
    assert found["htga_commit_seconds_count"] >= 2
    assert found["htga_wal_bytes"] > 0
    assert found["htga_live_readers"] == 0
    own = [name for name in found if "htga_request_seconds_count" in name]
    assert any('route="/runs/{run_id}/rows"' in name for name in own), own
    assert not any("script" in name or run["id"] in name for name in own)


def test_a_full_project_keeps_rows_out_until_there_is_room(settings: Settings) -> None:
    body = stream(probe_rows(range(20)), writer="a" * 36, first_seq=0)
    limits = settings.model_copy(update={"bytes_per_project": len(body), "undo_hours": 0})
    app = create_app(limits)
    with (
        Server(app).background() as server,
        httpx2.Client(base_url=server.url + PREFIX) as api,
    ):
        first, second, other = new_run(), new_run(), new_run(project="other")
        for run in (first, second, other):
            api.post("/runs", json=run)

        def send(run: dict[str, Any]) -> httpx2.Response:
            headers = {"content-type": ARROW_STREAM}
            return api.post(f"/runs/{run['id']}/rows", content=body, headers=headers)

        assert [send(run).status_code for run in (first, second, other)] == [200, 507, 200]
        refused = send(second)
        told = refused.json()
        assert (told["type"], told["limit"], told["actual"]) == ("quota-storage", *[len(body)] * 2)
        assert "HTGA_BYTES_PER_PROJECT" in told["detail"]
        assert refused.headers["retry-after"] == "60"
        assert send(first).json()["duplicates"] == 20  # these are there
        found = metrics_of(server.url)
        assert found['htga_ingest_rows_total{result="no_room"}'] == 40
        api.delete(f"/runs/{first['id']}")
        silent = sa.update(runs).values(updated=runs.c.updated - 1)
        app.state.database.write_now(lambda connection: connection.execute(silent))
        asyncio.run(Housekeeping(app.state.database, limits).run_once())
        assert send(second).json()["accepted"] == 20


def wait_for_lines(caplog: pytest.LogCaptureFixture, count: int) -> None:
    """Wait until so many lines are logged, and no more: a line comes after its answer."""
    deadline = time.monotonic() + 60
    while len(caplog.messages) < count:
        assert time.monotonic() < deadline
    assert len(caplog.messages) == count


def test_every_request_has_an_id_and_a_line_of_json_whatever_it_holds(
    collector: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "htga.access"):
        answer = httpx2.get(f"{collector.url}{PREFIX}/runs/a%0d%0aSet-Cookie:x%1b[31m")
        wait_for_lines(caplog, 1)
        line = json.loads(caplog.messages[-1])
        assert line["request"] == answer.headers["x-request-id"]
        assert (line["status"], line["method"]) == (404, "GET")
        assert "set-cookie" not in answer.headers
        with httpx2.Client(base_url=collector.url + PREFIX) as api:
            for sign in SIGNS:
                before, text = len(caplog.messages), f"a{sign}b"
                encoded = quote(text, safe="")
                said = [
                    api.get(f"/{encoded}"),
                    api.get(f"/runs/{encoded}"),
                    api.get("/runs", params={text: text}),
                    api.get("/runs", headers={"user-agent": encoded, "x-request-id": encoded}),
                    api.post("/runs", json=new_run(name=text, project=text, notes=text)),
                ]
                assert all(one.status_code < 500 for one in said)
                assert all(encoded != one.headers["x-request-id"] for one in said)
                wait_for_lines(caplog, before + len(said))
    for message in caplog.messages:
        assert json.loads(message)
        assert message.isascii()
        assert message.isprintable()


@pytest.mark.slow
def test_a_collector_in_use_is_copied_whole(tmp_path: Path) -> None:
    with running(tmp_path / "data") as collector, Load(collector.url) as load:
        load.wait_for_more(100)
        acked = load.highest[0]
        command = [sys.executable, "-m", "htga.cli.main", "db", "backup"]
        copy = tmp_path / "copy" / "htga.db"
        copy.parent.mkdir()
        flags = ["--data", str(tmp_path / "data")]
        done = subprocess.run([*command, str(copy), *flags], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        again = subprocess.run([*command, str(copy), *flags], capture_output=True, check=False)
        assert (again.returncode, b"exists" in again.stderr) == (1, True)
        load.wait_for_more()
    load.highest[0] = acked
    with running(tmp_path / "copy") as restored:
        assert lost(restored.url, load) == 0


def test_a_collector_with_open_streams_ends_within_five_seconds_of_being_asked(
    tmp_path: Path,
) -> None:
    collector = Collector(tmp_path, "--no-dashboard")
    with httpx2.stream("GET", f"{collector.url}{PREFIX}/live", timeout=30) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": open"
        collector.process.send_signal(signal.SIGTERM)
        assert collector.process.wait(timeout=5) in {0, -signal.SIGTERM}
    assert collector.process.stdout is not None
    collector.process.stdout.close()


def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "htga.db"
    path.write_bytes(b"not a database at all" * 1000)
    command = [sys.executable, "-m", "htga.cli.main", "up", "--no-dashboard", "--port", "0"]
    ended = subprocess.run(
        [*command, "--data", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, "damaged" in ended.stderr) == (1, True)
    assert "Traceback" not in ended.stderr
