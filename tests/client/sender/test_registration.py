"""A registration that a collector does not take as it is holds up no row longer than need be."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from htga_client import Client, wire
from htga_client.http.backoff import Backoff
from htga_client.http.transport import HttpTransport
from htga_client.run_ids import uuid7
from htga_client.sender.orphans import deliver_orphans
from htga_client.sender.sender import Sender
from htga_client.spool.directory import SpoolDirectory
from htga_client.spool.spool import Spool
from htga_client.wire.clean_run import clean_run
from htga_client.wire.row_encoder import record_batch
from htga_server.http.server import Server
from tests.support.anything import ANYTHING, PARTS
from tests.support.faulty_collector import FaultyCollector, refuse
from tests.support.senders import end, open_sender, put

POISON: list[dict[str, Any]] = [
    {"name": "n" * 2000}, {"name": 7}, {"name": ""}, {"name": None}, {"project": "p\0"},
    {"notes": "a\0b"}, {"tags": ["\ud800"]}, {"tags": 7}, {"environment": {"script": "\udcff.py"}},
    {"config": {"x": "y" * 3_200_000}}, {"config": {"x": "y" * (21 << 20)}}, {"config": [1]},
    {"id": "no uuid"}, {"writer": None},
]  # fmt: skip


CLEANED = [one for one in POISON if not one.keys() & {"id", "writer"}]


def leave_rows(folder: Path, url: str, saved: dict[str, Any]) -> wire.NewRun:
    """Thirty rows of a process that is gone, with what an older client saved of its run."""
    run = wire.NewRun(id=str(uuid7()), project="p", name="n", writer=str(uuid7()))
    spool = Spool(lambda: SpoolDirectory.create(folder, run, url))
    spool.append(record_batch([{"step": step, "alpha_hat": 1.0} for step in range(30)]))
    assert spool.directory is not None
    file = spool.directory.folder / "run.json"
    spool.close()
    content = json.loads(file.read_text())
    content["run"] |= saved
    file.write_text(json.dumps(content))
    return run


def test_rows_that_an_older_client_left_with_any_poisoned_run_are_delivered(
    collector: Server, tmp_path: Path
) -> None:
    runs = [leave_rows(tmp_path, collector.url, saved) for saved in POISON]
    transport = HttpTransport(collector.url)
    done = list(deliver_orphans(tmp_path, transport, pause=lambda _: False))
    transport.close()
    assert [(one.acked, one.problem) for one in done] == [(30, "")] * len(POISON)
    assert not list(tmp_path.rglob("run.json"))
    with Client(collector.url) as client:
        for run in runs:
            assert client.series(run.id, "alpha_hat")["step"].to_pylist() == list(range(30))


@hypothesis_settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.dictionaries(st.sampled_from(PARTS), ANYTHING))
def test_rows_of_a_run_arrive_whatever_it_is_registered_with(
    collector: Server, tmp_path_factory: pytest.TempPathFactory, parts: dict[str, Any]
) -> None:
    run = wire.NewRun(**({"id": str(uuid7()), "project": "p", "name": "n"} | parts))
    sender = Sender(
        HttpTransport(collector.url), run, folder=tmp_path_factory.mktemp("s"), linger=0.005
    )
    put(sender, 5)
    assert sender.finish(timeout=60)
    with httpx2.Client(base_url=collector.url + wire.PREFIX, timeout=60) as api:
        stored = api.get(f"/runs/{run.id}").json()
    assert (stored["last_step"], stored["state"], stored["summary"]) == (4, "finished", {"x": 4.0})


@pytest.mark.parametrize("at", range(len(CLEANED)))
def test_a_client_sends_a_clean_registration_and_says_once_what_it_changed(
    faulty: FaultyCollector, tmp_path: Path, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    wrong: dict[str, Any] = CLEANED[at]
    run = wire.NewRun(**({"id": str(uuid7()), "project": "p", "name": "n"} | wrong))
    sender = Sender(HttpTransport(faulty.url), run, folder=tmp_path, linger=0.005)
    put(sender, 3)
    assert sender.finish(timeout=60)
    _, changes = clean_run(faulty.runs[run.id])
    assert changes == ()
    (part,) = wrong
    said = [record.message for record in caplog.records if f": {part}" in record.message]
    assert len(said) + sum(": a tag" in record.message for record in caplog.records) == 1
    assert all(len(message) < 3000 for message in said)


def test_an_answer_as_large_as_a_run_may_be_is_taken(collector: Server, tmp_path: Path) -> None:
    config = {"ä" * 100: "ö" * 170_000}
    run = wire.NewRun(
        id=str(uuid7()), project="p", name="n", config=config, notes="n" * 65_536,
        environment={"packages": ["x" * 1_000_000]}, tags=("t" * 1024,) * 256,
    )  # fmt: skip
    sender = Sender(HttpTransport(collector.url), run, folder=tmp_path)
    sender.put({"step": 0, "metrics": {f"{i}" + "ü" * 1000: 1.0 for i in range(1000)}})
    assert sender.finish(timeout=120)
    with Client(collector.url) as client:
        stored = client.run(run.id)
    assert stored.config == config
    assert len(stored.metrics) == 1000


@pytest.fixture
def registrations(faulty: FaultyCollector) -> Callable[[], int]:
    return lambda: sum(path == f"{wire.PREFIX}/runs" for _, path, _ in faulty.requests)


@pytest.mark.parametrize("status", [400, 409, 410, 413, 422, 451])
def test_a_refusal_that_nobody_can_mend_is_not_asked_for_again_and_the_rows_stay_on_disk(
    faulty: FaultyCollector,
    registrations: Callable[[], int],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    faulty.always = refuse(status, "never")
    sender = open_sender(faulty.url, tmp_path, auth_retry_seconds=0.01)
    put(sender, 10)
    begin = time.monotonic()
    assert not sender.flush(60)
    assert not sender.finish(timeout=60)
    assert time.monotonic() - begin < 60
    assert registrations() <= 2  # as it is, and with what its rows need
    assert sum("never" in record.message for record in caplog.records) == 1
    assert sender.stats.queued == 10
    end(sender)
    faulty.always = None
    transport = HttpTransport(faulty.url)
    (done,) = deliver_orphans(tmp_path, transport, pause=lambda _: False)
    transport.close()
    assert (done.acked, faulty.steps()) == (10, list(range(10)))


def test_a_full_project_is_asked_again_because_a_person_can_make_room(
    faulty: FaultyCollector, registrations: Callable[[], int], tmp_path: Path
) -> None:
    faulty.always = refuse(422, "too many runs")
    faulty.always.body = json.dumps({"type": "quota", "detail": "too many runs"}).encode()
    sender = open_sender(faulty.url, tmp_path, auth_retry_seconds=0.01)
    put(sender, 10)
    assert faulty.wait(lambda: registrations() > 3)
    faulty.always = None
    assert sender.flush(60)
    assert faulty.steps() == list(range(10))
    end(sender)


@pytest.fixture
def narrow(faulty: FaultyCollector, monkeypatch: pytest.MonkeyPatch) -> FaultyCollector:
    """A collector that takes no run with a config."""
    register = faulty.register

    def refusing(new: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return (413, {"status": 413, "detail": "large"}) if new["config"] else register(new)

    monkeypatch.setattr(faulty, "register", refusing)
    return faulty


def test_a_registration_that_is_too_large_for_a_collector_is_sent_without_its_config(
    narrow: FaultyCollector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "htga")
    run = wire.NewRun(id=str(uuid7()), project="p", name="n", config={"lr": 0.1})
    sender = Sender(HttpTransport(narrow.url), run, folder=tmp_path)
    put(sender, 3)
    assert sender.finish(timeout=60)
    assert narrow.runs[run.id]["config"] == {}
    assert narrow.steps() == [0, 1, 2]
    assert sum("without config" in record.message for record in caplog.records) == 1


def test_a_run_that_is_refused_holds_up_no_other_that_was_left(
    faulty: FaultyCollector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = (leave_rows(tmp_path, faulty.url, {}) for _ in range(2))
    register = faulty.register

    def refusing(new: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        is_first = new["id"] == first.id
        return (409, {"status": 409, "detail": "pruned"}) if is_first else register(new)

    monkeypatch.setattr(faulty, "register", refusing)
    transport = HttpTransport(faulty.url)
    done = list(
        deliver_orphans(tmp_path, transport, pause=lambda _: False, backoff=Backoff(first=0.01))
    )
    transport.close()
    assert {one.run_id: one.acked for one in done} == {first.id: 0, second.id: 30}
    assert ["pruned" in one.problem for one in done if one.run_id == first.id] == [True]
    assert len(list(tmp_path.rglob("run.json"))) == 1
