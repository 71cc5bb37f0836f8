from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from htga_server.live import Broker
from htga_server.serve import Server
from tests.support.rows import new_run

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def listening(api: httpx2.Client, **params: str) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
    with api.stream("GET", "/live", params=params) as stream:
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


def test_a_listener_that_does_not_listen_costs_one_entry_per_run() -> None:
    async def scenario() -> list[str]:
        broker = Broker()
        listener = broker.listen()
        events = listener.events()
        await anext(events)
        for step in range(10_000):
            broker.publish("rows", "a", step=step)
        broker.publish("run", "a", state="finished")
        return [await anext(events), await anext(events)]

    first, second = asyncio.run(scenario())
    assert json.loads(first.partition("data: ")[2])["step"] == 9_999
    assert second.startswith("event: run\n")
