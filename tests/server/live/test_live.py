from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from htga_client.wire import ARROW_STREAM, PREFIX
from htga_server.http.server import Server
from htga_server.live.broker import Broker
from htga_server.live.pacing import REQUESTS_PER_SECOND, VIEWED_SECONDS
from htga_server.live.viewers import VIEW_TTL, ViewedRuns
from htga_server.storage.tables import runs
from tests.support.load import wait_until
from tests.support.processes import collecting
from tests.support.rows import new_run, stream

pytestmark = pytest.mark.usefixtures("collector")  # event streams need a socket
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def listening(
    api: httpx2.Client, *, headers: dict[str, str] | None = None, **params: str
) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
    with api.stream("GET", "/live", params=params, headers=headers) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": open"

        def events() -> Iterator[tuple[str, dict[str, Any]]]:
            kind = ""
            for line in lines:
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                if line.startswith("data: "):
                    yield kind, json.loads(line.removeprefix("data: "))

        yield events()


@sqlite_only
def test_rows_and_states_are_announced_after_they_are_stored(api: httpx2.Client) -> None:
    with listening(api) as events:
        run_id = api.post("/runs", json=new_run()).json()["id"]
        assert next(events) == ("run", {"run": run_id, "state": "running"})
        api.post(f"/runs/{run_id}/rows", json={"rows": [{"step": 4, "alpha_hat": 1.0}]})
        assert next(events) == ("rows", {"run": run_id, "step": 4})
        assert api.get(f"/runs/{run_id}").json()["last_step"] == 4
        api.post(f"/runs/{run_id}/finish", json={})
        assert next(events) == ("run", {"run": run_id, "state": "finished"})


@sqlite_only
def test_a_run_that_is_changed_deleted_or_restored_is_news(api: httpx2.Client) -> None:
    run_id = api.post("/runs", json=new_run()).json()["id"]
    with listening(api, run=run_id) as events:
        for method, path, state in (
            ("PATCH", "", "running"),
            ("DELETE", "", "deleted"),
            ("POST", "/restore", "running"),
        ):
            assert api.request(method, f"/runs/{run_id}{path}", json={"notes": "x"}).is_success
            assert next(events) == ("run", {"run": run_id, "state": state})


@sqlite_only
def test_a_heartbeat_is_news_only_of_a_run_that_seemed_dead(
    api: httpx2.Client, collector: Server
) -> None:
    run_id = api.post("/runs", json=new_run()).json()["id"]
    silent = sa.update(runs).values(created=runs.c.created - 2000)
    collector._app.state.database.write_now(lambda connection: connection.execute(silent))
    assert api.get(f"/runs/{run_id}").json()["state"] == "lost"
    with listening(api, run=run_id) as events:
        assert api.post(f"/runs/{run_id}/heartbeat").status_code == 204
        assert next(events) == ("run", {"run": run_id, "state": "running"})
        said = api.get(f"/runs/{run_id}").json()
        assert (said["state"], said["updated"]) == ("running", None)
        api.post(f"/runs/{run_id}/heartbeat")
        api.post(f"/runs/{run_id}/rows", json={"rows": [{"step": 4, "alpha_hat": 1.0}]})
        assert next(events) == ("rows", {"run": run_id, "step": 4})


@sqlite_only
def test_a_receipt_says_whether_anyone_views_the_run(api: httpx2.Client) -> None:
    run_id, other, third = (api.post("/runs", json=new_run()).json()["id"] for _ in range(3))
    with listening(api):  # as the table of runs does, which asks for previews, too
        api.get(f"/runs/{run_id}/series?keys=alpha_hat&preview=true")
        api.get("/runs")
        api.get(f"/runs/{run_id}")
        assert not is_viewed(api, run_id)
    for what in ("series?keys=alpha_hat", "histograms", "tail", "layers/map"):
        api.get(f"/runs/{run_id}/{what}")
        assert is_viewed(api, run_id), what
    assert not is_viewed(api, other)
    api.get(f"/groups/series?runs={other}&keys=alpha_hat")
    assert is_viewed(api, other)
    assert not is_viewed(api, third)
    with listening(api, run=third):
        assert is_viewed(api, third)


@sqlite_only
def test_a_receipt_says_how_long_rows_may_wait_where_there_are_many_senders(
    api: httpx2.Client, collector: Server
) -> None:
    pacing = collector._app.state.row_ingest.pacing
    pacing._clock = lambda: pacing._begun  # time stands still, however slow the machine is
    run_id = api.post("/runs", json=new_run()).json()["id"]
    intervals, headers = [], {"content-type": ARROW_STREAM}
    for number in range(220):
        body = stream([{"step": 1, "rank": number}], writer=str(uuid.uuid4()))
        answer = api.post(f"/runs/{run_id}/rows", content=body, headers=headers)
        intervals.append(answer.json()["min_interval"])
    assert intervals[0] == 2.0
    assert intervals[-1] == pytest.approx(220 / REQUESTS_PER_SECOND)


def is_viewed(api: httpx2.Client, run_id: str) -> bool:
    return bool(receipt(api, run_id)["min_interval"] == VIEWED_SECONDS)


def receipt(api: httpx2.Client, run_id: str) -> Any:
    rows = [{"step": 1, "alpha_hat": 2.0}]
    return api.post(f"/runs/{run_id}/rows", json={"rows": rows}).json()


def test_a_run_is_viewed_no_longer_unless_it_is_read_again() -> None:
    now = 100.0
    viewed, announced = ViewedRuns(lambda: now), list[str]()
    viewed.announce = announced.append
    viewed.mark_viewed("a")
    now += 0.9 * VIEW_TTL
    assert viewed.is_viewed("a")
    viewed.mark_viewed("a")
    now += 0.9 * VIEW_TTL
    assert viewed.is_viewed("a")
    now += VIEW_TTL
    assert not viewed.is_viewed("a")
    assert announced == ["a", "a"]


def test_many_reads_are_announced_once() -> None:
    viewed, announced = ViewedRuns(lambda: 100.0), list[str]()
    viewed.announce = announced.append
    for _ in range(100):
        viewed.mark_viewed("a")
    assert announced == ["a"]


@sqlite_only
def test_a_stream_of_one_run_is_silent_about_the_others(api: httpx2.Client) -> None:
    mine, other = (api.post("/runs", json=new_run()).json()["id"] for _ in range(2))
    with listening(api, run=mine) as events:
        for run_id in (other, mine):
            api.post(f"/runs/{run_id}/rows", json={"rows": [{"step": 1, "alpha_hat": 1.0}]})
        assert next(events) == ("rows", {"run": mine, "step": 1})


@sqlite_only
def test_a_server_with_open_streams_stops_when_asked(collector: Server) -> None:
    with httpx2.stream("GET", collector.url + "/api/v1/live", timeout=10) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": open"
        stopper = threading.Thread(target=collector.stop)
        stopper.start()
        assert [line for line in lines if line] == []
        stopper.join()


@sqlite_only
def test_a_reader_that_comes_back_gets_what_it_missed(api: httpx2.Client) -> None:
    one, two = (api.post("/runs", json=new_run()).json()["id"] for _ in range(2))

    def send(run_id: str, step: int) -> None:
        api.post(f"/runs/{run_id}/rows", json={"rows": [{"step": step, "alpha_hat": 1.0}]})

    with api.stream("GET", "/live") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": open"
        send(one, 1)
        last = next(line for line in lines if line.startswith("id: ")).removeprefix("id: ")
    for step in (2, 3):
        send(one, step)
    send(two, 7)
    with listening(api, headers={"last-event-id": last}) as events:
        assert next(events) == ("rows", {"run": one, "step": 3})
        assert next(events) == ("rows", {"run": two, "step": 7})


@sqlite_only
@pytest.mark.parametrize("last", ["00000000-1", "junk", ""])
def test_a_reader_of_another_process_is_reset(api: httpx2.Client, last: str) -> None:
    with listening(api, headers={"last-event-id": last}) as events:
        assert next(events) == ("reset", {})


def test_a_reader_is_never_queued_for_without_bound() -> None:
    async def scenario() -> str:
        broker = Broker()
        events = broker.subscribe().events()
        await anext(events)
        for number in range(5000):
            broker.publish("rows", f"run{number}", step=1)
        return await anext(events)

    assert asyncio.run(scenario()) == "event: reset\ndata: {}\n\n"


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_what_one_collector_stores_is_announced_by_another_on_the_same_postgres(
    database_url: str, tmp_path: Path
) -> None:
    with (
        collecting(tmp_path / "a", "--no-dashboard", "--db", database_url) as first,
        collecting(tmp_path / "b", "--no-dashboard", "--db", database_url) as second,
        httpx2.Client(base_url=first.url + PREFIX, timeout=30) as here,
        httpx2.Client(base_url=second.url + PREFIX, timeout=30) as there,
        listening(there) as events,
    ):
        run_id = here.post("/runs", json=new_run()).json()["id"]
        assert next(events) == ("run", {"run": run_id, "state": "running"})
        here.post(f"/runs/{run_id}/rows", json={"rows": [{"step": 5, "alpha_hat": 2.0}]})
        assert next(events) == ("rows", {"run": run_id, "step": 5})
        read = there.get(f"/runs/{run_id}/series", params={"keys": "alpha_hat"}).json()
        assert read["keys"]["alpha_hat"]["last"] == [2.0]
        wait_until(lambda: is_viewed(here, run_id))  # who reads there is known here


def test_a_listener_that_does_not_listen_costs_one_entry_per_run() -> None:
    async def scenario() -> list[str]:
        broker = Broker()
        subscriber = broker.subscribe()
        events = subscriber.events()
        await anext(events)
        for step in range(10_000):
            broker.publish("rows", "a", step=step)
        broker.publish("run", "a", state="finished")
        return [await anext(events), await anext(events)]

    first, second = asyncio.run(scenario())
    assert json.loads(first.partition("data: ")[2])["step"] == 9_999
    assert second.startswith("event: run\n")
