"""The whole product at once: a real server process, a real training process, a real browser."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page

from htga_client import Client
from tests.support.charts import wait_for_points

ROOT = Path(__file__).parents[2]
STEPS, PAUSE_AT = 200, 80


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """`htga up` on a free port, in a process of its own; gives its address."""
    command = ["-m", "htga.cli.main", "up", "--port", "0", "--data", str(tmp_path / "data")]
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("HTGA is on http://127.0.0.1:"), line
        yield line.split()[3]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) in {0, -signal.SIGTERM}


@pytest.mark.browser
def test_a_run_is_watched_live_and_every_step_of_it_is_stored(
    server: str, page: Page, tmp_path: Path
) -> None:
    page.set_default_timeout(120_000)
    trouble: list[str] = []
    hosts: set[str] = set()

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            trouble.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))

    out = tmp_path / "computed.json"
    script = ROOT / "tests/support/train_digits.py"
    command = [sys.executable, str(script), server, str(STEPS), str(PAUSE_AT), str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as training:
        assert training.stdin is not None
        assert training.stdout is not None
        word, run_id = training.stdout.readline().split()
        assert word == "paused"
        page.goto(f"{server}/run/{run_id}")
        for chart in ("tail", "control", "norm", "variance"):
            wait_for_points(page, chart, PAUSE_AT - 1)
        assert training.poll() is None
        training.stdin.write("go\n")
        training.stdin.flush()
        assert wait_for_points(page, "tail", PAUSE_AT + 1) <= STEPS
        assert wait_for_points(page, "tail", STEPS) == STEPS
        assert training.stdout.readline() == "finished\n"
    assert training.returncode == 0

    assert wait_for_points(page, "heat", STEPS) >= STEPS
    page.get_by_text("finished").first.wait_for()
    assert trouble == []
    assert hosts == {server.removeprefix("http://")}

    computed = json.loads(out.read_text())
    with Client(server) as client:
        table = client.series(run_id, list(computed[0]), buckets=STEPS)
        assert client.run(run_id).state == "finished"
    assert table["step"].to_pylist() == list(range(STEPS))
    for name in computed[0]:
        assert table[name].to_pylist() == [values[name] for values in computed], name
