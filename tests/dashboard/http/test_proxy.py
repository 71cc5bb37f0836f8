from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from htga_client.wire import PREFIX
from htga_dashboard.app import create_app
from htga_dashboard.source.source import Source
from htga_server.http.server import Server
from tests.support.rows import new_run


@pytest.fixture
def beside(collector: Server) -> Iterator[Server]:
    """A dashboard in front of a collector elsewhere."""
    client = httpx2.AsyncClient(base_url=collector.url)
    with Server(create_app(Source(client)).server).background() as server:
        yield server


def test_reads_and_writes_are_passed_on(collector: Server, beside: Server) -> None:
    run = new_run(name="näme")
    made = httpx2.post(f"{beside.url}{PREFIX}/runs", json=run)
    assert made.status_code == 201
    rows = {"rows": [{"step": 3, "alpha_hat": 1.5}]}
    sent = httpx2.post(f"{beside.url}{PREFIX}/runs/{run['id']}/rows", json=rows)
    assert sent.json()["accepted"] == 1
    query = f"{PREFIX}/runs/{run['id']}/series?keys=alpha_hat&buckets=5"
    through = httpx2.get(beside.url + query)
    assert through.json() == httpx2.get(collector.url + query).json()
    assert through.headers["content-type"] == "application/json"
    gone = httpx2.delete(f"{beside.url}{PREFIX}/runs/{run['id']}")
    assert gone.status_code == 204


def test_problems_of_the_collector_are_passed_on(beside: Server) -> None:
    answer = httpx2.get(f"{beside.url}{PREFIX}/runs/nobody")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_events_arrive_as_they_happen(collector: Server, beside: Server) -> None:
    with httpx2.stream("GET", f"{beside.url}{PREFIX}/live", timeout=30) as live:
        assert live.headers["content-type"].startswith("text/event-stream")
        lines = live.iter_lines()
        assert next(lines) == ": open"
        run = new_run()
        httpx2.post(f"{collector.url}{PREFIX}/runs", json=run)
        events = (line for line in lines if line.startswith("data:"))
        assert run["id"] in next(events)


def test_an_open_stream_does_not_keep_a_stopping_dashboard_alive(beside: Server) -> None:
    with httpx2.stream("GET", f"{beside.url}{PREFIX}/live", timeout=30) as live:
        lines = live.iter_lines()
        assert next(lines) == ": open"
        beside.stop()
        assert [line for line in lines if line.startswith("data:")] == []


def test_a_reader_who_leaves_a_stream_leaves_nothing_behind(
    collector: Server, caplog: pytest.LogCaptureFixture
) -> None:
    client = httpx2.AsyncClient(base_url=collector.url)
    with (
        Server(create_app(Source(client)).server).background() as server,
        httpx2.stream("GET", f"{server.url}{PREFIX}/live", timeout=30) as live,
    ):
        assert next(live.iter_lines()) == ": open"
    gc.collect()
    assert [record.message for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_stream_ends_with_the_collector_so_that_its_reader_comes_back(
    collector: Server, beside: Server
) -> None:
    with httpx2.stream("GET", f"{beside.url}{PREFIX}/live", timeout=30) as live:
        lines = live.iter_lines()
        assert next(lines) == ": open"
        collector.stop()
        assert [line for line in lines if line.startswith("data:")] == []


def test_a_collector_that_does_not_answer_is_a_bad_gateway() -> None:
    client = httpx2.AsyncClient(base_url="http://127.0.0.1:9")
    with Server(create_app(Source(client)).server).background() as server:
        answer = httpx2.get(f"{server.url}{PREFIX}/runs")
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert "127.0.0.1:9" in answer.json()["detail"]


def test_a_name_that_is_not_this_servers_is_turned_away(beside: Server) -> None:
    for path in ("/", f"{PREFIX}/runs"):
        answer = httpx2.get(beside.url + path, headers={"host": "evil.example"})
        assert answer.status_code == 400


@pytest.fixture
def requests() -> list[Request]:
    """The requests that `recording` got."""
    return []


@pytest.fixture
def recording(requests: list[Request]) -> Iterator[Server]:
    """A dashboard with a token, in front of a collector that records requests."""
    collector = FastAPI()

    @collector.api_route("/{rest:path}", methods=["GET", "POST", "DELETE"])
    async def note(request: Request) -> Response:
        requests.append(request)
        return Response(headers={"keep-alive": "timeout=5", "x-mine": "1"})

    client = httpx2.AsyncClient(
        base_url="http://collector",
        transport=httpx2.ASGITransport(app=collector),
        headers={"authorization": "Bearer ours"},
    )
    with Server(create_app(Source(client)).server).background() as server:
        yield server


def test_the_dashboards_token_is_lent_to_reads_and_to_nothing_else(
    recording: Server, requests: list[Request]
) -> None:
    at = f"{recording.url}{PREFIX}/runs"
    httpx2.get(at)
    httpx2.post(at, json={})
    httpx2.get(at, headers={"authorization": "Bearer theirs"})
    httpx2.delete(at, headers={"authorization": "Bearer theirs"})
    assert [(asked.method, asked.headers.get("authorization")) for asked in requests] == [
        ("GET", "Bearer ours"),
        ("POST", None),
        ("GET", "Bearer theirs"),
        ("DELETE", "Bearer theirs"),
    ]


def test_the_headers_of_one_connection_stay_with_it(
    recording: Server, requests: list[Request]
) -> None:
    answer = httpx2.get(f"{recording.url}{PREFIX}/runs", headers={"x-yours": "2", "te": "x"})
    (asked,) = requests
    assert asked.headers["host"] == "collector"
    assert asked.headers["x-yours"] == "2"
    assert "te" not in asked.headers
    assert answer.headers["x-mine"] == "1"
    assert "keep-alive" not in answer.headers
