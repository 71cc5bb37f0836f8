"""The API does what its own description says, whatever it is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from htga_client.wire import PREFIX, histogram
from htga_server.http.server import Server
from tests.support.rows import new_run, stream
from tests.support.seeded_random import LONG, rounds

KINDS = ["sqlite", "postgres"]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def explore(collector: Server, folder: Path, run_id: str | None, *flags: str) -> None:
    """Let schemathesis ask all sorts of things; it ends with 0 where nothing was amiss."""
    config = folder / "schemathesis.toml"
    config.write_text("" if run_id is None else f'parameters = {{ run_id = "{run_id}" }}\n')
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    asked = subprocess.run(
        [
            *command,
            f"{collector.url}/openapi.json",
            f"--checks={','.join(CHECKS)}",
            f"--exclude-path={PREFIX}/live",
            f"--max-examples={rounds(8, 40)}",
            "--seed=1",
            "--generation-database=none",
            *flags,
        ],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=folder,
    )
    assert asked.returncode == 0, asked.stdout[-6000:] + asked.stderr[-2000:]
    assert "passed" in asked.stdout


@pytest.mark.slow
@pytest.mark.parametrize("database_url", KINDS if LONG else ["sqlite"], indirect=True)
def test_no_request_makes_the_collector_break_its_own_description(
    collector: Server, tmp_path: Path
) -> None:
    explore(collector, tmp_path, None)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", KINDS if LONG else ["postgres"], indirect=True)
def test_no_request_about_a_run_that_exists_does_either(collector: Server, tmp_path: Path) -> None:
    run = new_run()
    with httpx2.Client(base_url=collector.url + PREFIX) as api:
        api.post("/runs", json=run)
        blob = histogram.encode([5, 900, 3], bits=3, first=900)
        rows = [
            {"step": step, "alpha_hat": 1.0, "histogram": blob, "metrics": [("loss", 0.5)]}
            for step in range(200)
        ]
        headers = {"content-type": "application/vnd.apache.arrow.stream"}
        sent = api.post(f"/runs/{run['id']}/rows", content=stream(rows), headers=headers)
        assert sent.json()["accepted"] == 200
    flags = (f"--include-path-regex=^{PREFIX}/runs/.*", "--exclude-method=DELETE")
    explore(collector, tmp_path, run["id"], *flags, "--phases=coverage,fuzzing")
