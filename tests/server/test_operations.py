"""What an operator sees and does."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from htga_client.wire import PREFIX
from htga_server.serve import Server
from tests.support.load import Load, lost, running
from tests.support.processes import Collector
from tests.support.rows import new_run


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'htga.db'}"


def numbers(url: str) -> dict[str, float]:
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
    found = numbers(collector.url)
    assert found['htga_ingest_rows_total{result="accepted"}'] == 1
    assert found['htga_ingest_rows_total{result="rejected"}'] == 1
    assert found["htga_commit_seconds_count"] >= 2
    assert found["htga_wal_bytes"] > 0
    assert found["htga_live_readers"] == 0
    own = [name for name in found if "htga_request_seconds_count" in name]
    assert any('route="/runs/{run_id}/rows"' in name for name in own), own
    assert not any("script" in name or run["id"] in name for name in own)


def test_every_request_has_an_id_and_a_line_of_json_whatever_it_holds(
    collector: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "htga.access"):
        answer = httpx2.get(f"{collector.url}{PREFIX}/runs/a%0d%0aSet-Cookie:x%1b[31m")
    line = json.loads(caplog.messages[-1])
    assert line["request"] == answer.headers["x-request-id"]
    assert (line["status"], line["method"]) == (404, "GET")
    assert not set(caplog.messages[-1]) & {"\r", "\n", "\x1b"}
    assert "set-cookie" not in answer.headers


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
