"""Events of a run, on SQLite and on Postgres."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from htga_client.wire import ARROW_STREAM
from htga_server.runs import events
from tests.support.rows import new_run, stream

WRITER = "0196a0c2-0000-7000-8000-00000000000a"


def event(**said: Any) -> str:
    return json.dumps({"kind": "alert", "level": "warning", "title": "loss is high"} | said)


def register(api: httpx2.Client) -> str:
    return str(api.post("/runs", json=new_run()).json()["id"])


def send(api: httpx2.Client, run_id: str, rows: list[dict[str, Any]], **place: Any) -> Any:
    return api.post(
        f"/runs/{run_id}/rows",
        content=stream(rows, **place),
        headers={"content-type": ARROW_STREAM},
    ).json()


def test_events_are_listed_in_the_order_of_their_steps(api: httpx2.Client) -> None:
    run_id = register(api)
    send(api, run_id, [{"step": 9, "time": 5.0, "event": event(title="later")}])
    send(api, run_id, [{"step": 3, "layer": "fc", "alpha_hat": 1.5, "event": event(text="<b>")}])
    first, second = api.get(f"/runs/{run_id}/events").json()["items"]
    assert (first["step"], first["layer"], first["text"]) == (3, "fc", "<b>")
    assert second == {
        "step": 9,
        "time": 5.0,
        "rank": 0,
        "layer": "",
        "attempt": 1,
        "kind": "alert",
        "level": "warning",
        "title": "later",
        "text": "",
    }
    assert api.get(f"/runs/{run_id}/series", params={"keys": "alpha_hat", "layer": "fc"}).json()[
        "step"
    ] == [3]


def test_an_event_that_is_sent_twice_is_kept_once(api: httpx2.Client) -> None:
    run_id = register(api)
    rows = [{"step": step, "event": event(title=str(step))} for step in range(3)]
    for _ in range(2):
        send(api, run_id, rows, writer=WRITER, first_seq=0)
    send(api, run_id, [*rows[1:], {"step": 3, "event": event()}], writer=WRITER, first_seq=1)
    items = api.get(f"/runs/{run_id}/events").json()["items"]
    assert [item["step"] for item in items] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("no json", "cannot be read"),
        ('{"level": "info"}', "cannot be read"),
        ('{"kind": "x", "level": "dreadful"}', "cannot be read"),
        (event(text="x" * 20_000), "too long"),
        (event(text="a\0b"), "NUL"),
    ],
)
def test_an_event_that_cannot_be_kept_is_left_out_and_the_rest_of_its_row_stays(
    api: httpx2.Client, said: str, why: str
) -> None:
    run_id = register(api)
    rows = [{"step": 0, "event": said, "alpha_hat": 1.0}, {"step": 1, "event": event()}]
    receipt = send(api, run_id, rows)
    assert (receipt["accepted"], receipt["rejected"]) == (2, [])
    (part,) = receipt["left_out"]
    assert (part["what"], part["rows"]) == ("event", 1)
    assert why in part["reason"]
    assert api.get(f"/runs/{run_id}").json()["summary"] == {"alpha_hat": 1.0}
    assert len(api.get(f"/runs/{run_id}/events").json()["items"]) == 1


def test_a_run_without_events_and_no_run_at_all_are_two_things(api: httpx2.Client) -> None:
    assert api.get(f"/runs/{register(api)}/events").json() == {"items": []}
    assert api.get(f"/runs/{WRITER}/events").status_code == 404


def test_events_go_with_their_run(api: httpx2.Client) -> None:
    run_id = register(api)
    send(api, run_id, [{"step": 0, "event": event()}])
    assert api.delete(f"/runs/{run_id}").status_code == 204
    assert api.get(f"/runs/{run_id}/events").status_code == 404


def test_alerts_of_all_runs_are_listed_together_the_latest_first(api: httpx2.Client) -> None:
    first, second = register(api), register(api)
    send(api, first, [{"step": 1, "time": 5.0, "event": event(title="early", level="error")}])
    send(api, second, [{"step": 2, "time": 7.0, "event": event(title="late")}])
    send(api, second, [{"step": 3, "time": 9.0, "event": event(title="mere news", level="info")}])
    found = api.get("/alerts").json()["items"]
    assert [(one["run_id"], one["title"]) for one in found] == [(second, "late"), (first, "early")]
    assert found[0]["run_name"] == new_run()["name"]
    assert [one["title"] for one in api.get("/alerts?limit=1").json()["items"]] == ["late"]
    assert api.get("/alerts", params={"project": "another"}).json()["items"] == []
    api.delete(f"/runs/{second}")
    assert [one["title"] for one in api.get("/alerts").json()["items"]] == ["early"]


def test_alerts_are_those_of_the_runs_that_had_news_last(
    api: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_RUNS", 1)
    for title in ("early", "late"):
        send(api, register(api), [{"step": 1, "time": 5.0, "event": event(title=title)}])
    assert [one["title"] for one in api.get("/alerts").json()["items"]] == ["late"]
