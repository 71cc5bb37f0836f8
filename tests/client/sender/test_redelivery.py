"""What a collector has refused can be seen, and sent again until it is taken."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from htga.cli.main import app
from htga_client import Client, wire
from htga_client.http.backoff import Backoff
from htga_client.http.retry import Retrier
from htga_client.http.transport import HttpTransport
from htga_client.sender.dead_letters import RUN, DeadLetters
from htga_client.sender.redelivery import DeadLetter, dead_letters, resend
from htga_client.wire.row_encoder import record_batch
from htga_server.http.server import Server
from tests.support.faulty_collector import FaultyCollector, refuse
from tests.support.senders import end, open_sender, put

WRITER = str(uuid.UUID(int=5))


def leave(folder: Path, rows: list[dict[str, Any]], run: wire.NewRun) -> None:
    table = pa.Table.from_batches([record_batch(rows)])
    name = f"{run.writer}-{0:020d}"
    DeadLetters().add(table, "of old", folder / "dead" / run.id, name, run)


@pytest.fixture
def run() -> wire.NewRun:
    return wire.NewRun(id=str(uuid.uuid4()), project="p", name="n", writer=WRITER)


@pytest.fixture
def again(collector: Server) -> Iterator[Any]:
    """Send every dead letter of a folder again; returns what stays."""
    transport = HttpTransport(collector.url)
    retrier = Retrier(
        collector.url, backoff=Backoff(first=0.01), auth_retry_seconds=0.01, pause=lambda _: False
    )

    def send(folder: Path) -> list[DeadLetter]:
        left = [resend(one, transport, retrier) for one in dead_letters(folder)]
        return [one for one in left if one is not None]

    yield send
    transport.close()


def test_a_dead_letter_says_its_run_its_rows_and_why(tmp_path: Path, run: wire.NewRun) -> None:
    leave(tmp_path, [{"step": 0}, {"step": 1}], run)
    (letter,) = dead_letters(tmp_path)
    assert (letter.run_id, letter.table.num_rows, letter.reason) == (run.id, 2, "of old")
    assert letter.written > 0


def test_what_is_taken_leaves_and_what_is_refused_again_stays_with_the_new_reason(
    collector: Server, tmp_path: Path, run: wire.NewRun, again: Any
) -> None:
    rows = [{"step": step, "alpha_hat": 1.0} for step in (0, 1, -1, 2, -2)]
    leave(tmp_path, rows, run)
    for _ in range(2):
        (left,) = again(tmp_path)
        assert left.table["step"].to_pylist() == [-1, -2]
        assert left.reason == "step is negative"
    with Client(collector.url) as client:
        assert client.series(run.id, "alpha_hat")["step"].to_pylist() == [0, 1, 2]


def test_rows_that_are_sent_again_belong_to_their_writers_attempt_and_are_stored_once(
    collector: Server, tmp_path: Path, run: wire.NewRun, again: Any
) -> None:
    with httpx2.Client(base_url=collector.url + wire.PREFIX, timeout=60) as api:
        register = {"id": run.id, "project": "p", "name": "n"}
        for writer in (WRITER, str(uuid.UUID(int=6))):  # a second attempt, after the refusal
            api.post("/runs", json=register | {"writer": writer})
        event = '{"kind": "alert", "title": "t"}'
        second = [{"step": 1, "alpha_hat": 2.0}]
        api.post(f"/runs/{run.id}/rows", json={"rows": second})
        rows = [{"step": step, "alpha_hat": 1.0, "event": event} for step in range(3)]
        copies = tmp_path / "first", tmp_path / "second"
        for folder in copies:  # as if the answer to the first had been lost
            leave(folder, rows, run)
            assert again(folder) == []
            assert not list(folder.rglob("*.arrow"))
        found = api.get(f"/runs/{run.id}/series", params={"keys": "alpha_hat"}).json()
        assert found["keys"]["alpha_hat"]["last"] == [1.0, 2.0, 1.0]
        stored = api.post("/query", json={"sql": "SELECT count(*) FROM all_steps"}).json()["rows"]
        assert stored == [[4]]
        assert len(api.get(f"/runs/{run.id}/events").json()["items"]) == 3
        assert api.get(f"/runs/{run.id}").json()["attempt"] == 2


def test_letters_of_older_clients_and_broken_files_are_listed_and_hold_up_no_other(
    collector: Server, tmp_path: Path, run: wire.NewRun, again: Any
) -> None:
    unknown = wire.NewRun(id=str(uuid.uuid4()), project="p", name="n", writer=WRITER)
    leave(tmp_path, [{"step": 0}], unknown)
    (old,) = tmp_path.rglob("*.arrow")
    table = pa.ipc.open_stream(old.read_bytes()).read_all()
    metadata = {key: value for key, value in table.schema.metadata.items() if key != RUN}
    with (
        pa.OSFile(str(old), "wb") as file,
        pa.ipc.new_stream(file, table.schema.with_metadata(metadata)) as out,
    ):
        out.write_table(table.replace_schema_metadata(metadata))
    broken = tmp_path / "dead" / str(uuid.uuid4()) / f"{WRITER}-{0:020d}.arrow"
    broken.parent.mkdir()
    broken.write_bytes(b"no arrow")
    leave(tmp_path, [{"step": 0, "alpha_hat": 1.0}], run)
    reasons = sorted(one.reason for one in again(tmp_path))
    assert len(reasons) == 2
    assert reasons[0].startswith("no run")
    assert reasons[1].startswith("the file cannot be read")
    with Client(collector.url) as client:
        assert client.series(run.id, "alpha_hat")["step"].to_pylist() == [0]


def test_the_command_lists_what_a_sender_had_to_set_aside_and_sends_it(
    faulty: FaultyCollector, collector: Server, tmp_path: Path
) -> None:
    sender = open_sender(faulty.url, tmp_path)
    faulty.faults.append(refuse(422, "not today"))
    put(sender, 5)
    sender.flush(60)
    end(sender)
    dead = sender.stats.dropped["refused"]
    command = ["sync", "--dead", "--dir", str(tmp_path), "--url", collector.url]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "not today" in done.stdout.replace("\n", " ")
    assert f"{dead} of {dead} rows were taken, and 0 dead letters stay." in done.stdout
    assert not list(tmp_path.rglob("*.arrow"))
    with Client(collector.url) as client:
        (stored,) = client.runs()
    assert (stored.project, stored.name) == ("p", "n")
    assert "no dead letters" in CliRunner().invoke(app, command).stdout
    assert json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout) == []


def test_the_command_says_what_a_collector_refuses_again(
    collector: Server, tmp_path: Path, run: wire.NewRun
) -> None:
    leave(tmp_path, [{"step": 0, "alpha_hat": 1.0}, {"step": -1}], run)
    command = ["sync", "--dead", "--dir", str(tmp_path), "--url", collector.url, "--json"]
    (told,) = json.loads(CliRunner().invoke(app, command).stdout)
    assert (told["run_id"], told["rows"], told["reason"]) == (run.id, 2, "of old")
    assert (told["left"], told["refused_again"]) == (1, "step is negative")
