"""What a server process logs, and what Prometheus reads of it."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from htga.cli.logs import JsonLines, TextLines
from tests.support.processes import ROOT

HTGA = [sys.executable, "-m", "htga.cli.main"]


class Logging:
    """`htga up`, whose stderr is read at its end."""

    def __init__(self, data: Path, *flags: str, **env: str) -> None:
        command = [*HTGA, "up", "--no-dashboard", "--port", "0", "--data", str(data), *flags]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | env,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split()[3]
        self.lines: list[str] = []

    def end(self) -> None:
        """Stop it and keep what it has logged."""
        self._process.terminate()
        self.lines = self._process.communicate(timeout=60)[1].splitlines()


@contextmanager
def logging_server(data: Path, *flags: str, **env: str) -> Iterator[Logging]:
    server = Logging(data, *flags, **env)
    try:
        yield server
    finally:
        server.end()


def test_each_request_is_an_object_of_json_under_the_id_of_its_answer(tmp_path: Path) -> None:
    env = {"HTGA_LOG_FORMAT": "json", "HTGA_LOG_LEVEL": "INFO"}
    with logging_server(tmp_path, **env) as server:
        answers = [
            httpx2.get(f"{server.url}/healthz", timeout=60),
            httpx2.get(f"{server.url}/api/v1/runs/a%0ab?token=secret", timeout=60),
        ]
    logged = [json.loads(line) for line in server.lines]
    assert all({"time", "level", "logger"} <= line.keys() for line in logged)
    requests = {line["request"]: line for line in logged if line["logger"] == "htga.access"}
    for answer in answers:
        line = requests[answer.headers["x-request-id"]]
        assert (line["status"], line["method"]) == (answer.status_code, "GET")
    assert not any("secret" in line for line in server.lines)


def test_lines_for_people_have_the_same_and_a_quiet_server_logs_nothing(tmp_path: Path) -> None:
    with logging_server(tmp_path, "--log-level", "info") as server:
        answer = httpx2.get(f"{server.url}/healthz", timeout=60)
    (line,) = [line for line in server.lines if answer.headers["x-request-id"] in line]
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO htga\.access: \{", line)
    with logging_server(tmp_path) as server:
        httpx2.get(f"{server.url}/healthz", timeout=60)
    assert server.lines == []


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()])
def test_a_message_is_one_line_whatever_it_holds(formatter: logging.Formatter) -> None:
    text = "a\nb\r\x1b[2J\u2028"
    record = logging.LogRecord("one", logging.WARNING, "", 0, "%s", (text,), None)
    line = formatter.format(record)
    assert line.isprintable()
    if isinstance(formatter, JsonLines):
        assert json.loads(line)["message"] == text


def test_prometheus_reads_the_metrics_as_the_docs_say(tmp_path: Path) -> None:
    docs = (ROOT / "docs/deploy.md").read_text()
    (example,) = re.findall(r"```yaml\n(scrape.*?)```", docs, re.DOTALL)
    (job,) = yaml.safe_load(example)["scrape_configs"]
    said = re.findall(r"`htga (token create prometheus [^`]*)`", docs)[0]
    command = [*HTGA, *said.split(), "--data", str(tmp_path)]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert set(job["authorization"]) == {"credentials_file"}  # as "Authorization: Bearer"
    with logging_server(tmp_path, HTGA_REQUIRE_TOKENS="yes") as server:
        path = f"{server.url}{job['metrics_path']}"
        assert httpx2.get(path, timeout=60).status_code == 401
        bearer = {"authorization": f"Bearer {token}"}
        answer = httpx2.get(path, headers=bearer, timeout=60)
    found = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"htga_request_seconds", "htga_ingest_rows", "htga_commit_seconds"} <= found
