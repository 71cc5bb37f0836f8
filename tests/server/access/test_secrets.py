"""A token's secret is stored nowhere, and only the owner can read the data."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from htga_client.wire import PREFIX
from tests.support.processes import ROOT, Collector, collecting
from tests.support.rows import new_run
from tests.support.senders import open_sender, put


def token_for(data: Path, *scopes: str) -> str:
    flags = [word for scope in scopes for word in ("--scope", scope)]
    command = [sys.executable, "-m", "htga.cli.main", "token", "create", "canary", *flags]
    made = subprocess.run(
        [*command, "--data", str(data)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return next(word for word in made.stdout.split() if word.startswith("htga_"))


def answers(collector: Collector, token: str) -> list[str]:
    """What the collector says to requests good and bad that carry the token."""
    bearer = {"authorization": f"Bearer {token}"}
    run = new_run()
    with httpx2.Client(base_url=collector.url, headers=bearer, timeout=30) as client:
        said = [
            client.post(f"{PREFIX}/runs", json=run),
            client.post(f"{PREFIX}/runs", json={"id": token}),
            client.post(f"{PREFIX}/runs/{run['id']}/rows", content=b"not Arrow"),
            client.post(f"{PREFIX}/query", json={"sql": "SELECT nothing FROM nowhere"}),
            client.get("/openapi.json"),
            client.get("/metrics"),
            client.get(f"{PREFIX}/tokens"),
            client.get("/", headers={"authorization": f"Bearer {token}x"}),
        ]
    assert {200, 201, 401, 422} <= {answer.status_code for answer in said}
    # What was sent as an id may be said back to who sent it.
    return [answer.text for number, answer in enumerate(said) if number != 1]


@pytest.mark.slow
def test_the_secret_is_in_no_file_log_answer_or_command_line(tmp_path: Path) -> None:
    data, log, spool = tmp_path / "data", tmp_path / "log", tmp_path / "spool"
    token = token_for(data, "ingest", "read", "admin")
    _, name, secret, _ = token.split("_")
    guarded = f'HTGA_REQUIRE_TOKENS=true exec "$@" 2>{shlex.quote(str(log))}'
    with collecting(data, "--no-dashboard", before=("sh", "-c", guarded, "sh")) as collector:
        sender = open_sender(collector.url, spool, token)
        put(sender, 100)
        assert sender.flush(30)
        held = b"".join(file.read_bytes() for file in spool.rglob("*") if file.is_file())
        assert sender.finish(timeout=30)
        said = "".join(answers(collector, token)).encode()
        command = Path(f"/proc/{collector.process.pid}/cmdline").read_bytes()
    kept = b"".join(file.read_bytes() for file in data.rglob("*") if file.is_file())
    assert name.encode() in kept  # or the search would find nothing whatever there is
    for place in (kept, held, said, command, log.read_bytes()):
        assert secret.encode() not in place
        assert bytes.fromhex(secret) not in place


def test_others_on_the_machine_cannot_read_the_database(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with collecting(tmp_path / "data", "--no-dashboard") as collector:
            assert httpx2.post(f"{collector.url}{PREFIX}/runs", json=new_run()).is_success
            files = list((tmp_path / "data").glob("htga.db*"))
            assert len(files) > 1
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
            assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
