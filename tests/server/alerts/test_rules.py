"""Rules and their dry run, on SQLite and on Postgres."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from htga_client import Client, wire
from htga_server.alerts import backtest, rules
from htga_server.http.server import Server
from tests.support.rows import new_run

Post = Callable[..., httpx2.Response]
RULE: dict[str, Any] = {
    "project": "digits",
    "name": "heavy tail",
    "kind": "below",
    "key": "alpha_bar",
    "threshold": 1.2,
    "steps": 3,
}


def test_rules_are_made_listed_changed_and_deleted(collector: Server) -> None:
    with Client(collector.url) as client:
        made = client.add_rule(wire.NewRule(**RULE))
        other = client.add_rule(wire.NewRule(**RULE | {"project": "other", "enabled": False}))
        assert (made.level, made.webhook, made.enabled) == ("warning", None, True)
        assert client.rules() == [made, other]
        assert client.rules("digits") == [made]
        changed = client.change_rule(wire.Rule(**RULE | {"id": made.id, "steps": 5}))
        assert client.rules("digits") == [changed]
        assert changed.steps == 5
        client.delete_rule(made.id)
        assert client.rules() == [other]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"name": ""}, "name must have"),
        ({"key": "\0"}, "key must have"),
        ({"kind": "sideways"}, "kind"),
        ({"steps": 0}, "steps must be"),
        ({"steps": 10_001}, "steps must be"),
        ({"threshold": "NaN"}, "threshold must be finite"),
        ({"kind": "burst", "threshold": 0}, "positive"),
        ({"webhook": "http://hooks.example/x"}, "https"),
        ({"webhook": "https://me:secret@hooks.example/"}, "user name"),
        ({"webhook": "https://127.0.0.1/x"}, "internet"),
        ({"webhook": "https://[::ffff:169.254.169.254]/"}, "internet"),
        ({"webhook": "https://hooks.example/\r\nX: y"}, "ASCII"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    api: httpx2.Client, bad: dict[str, Any], words: str
) -> None:
    answer = api.post("/rules", json=RULE | bad)
    assert (answer.status_code, answer.json()["type"]) == (422, "invalid")
    assert words in answer.json()["detail"]
    assert api.get("/rules").json()["items"] == []


def test_a_rule_that_is_not_there_cannot_be_changed(api: httpx2.Client) -> None:
    for rule_id in (str(uuid.uuid4()), "x"):
        assert api.put(f"/rules/{rule_id}", json=RULE).status_code == 404
        assert api.delete(f"/rules/{rule_id}").status_code == 404


def test_a_project_has_so_many_rules_and_no_more(
    api: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MAX_RULES", 1)
    assert api.post("/rules", json=RULE).status_code == 201
    assert api.post("/rules", json=RULE).json()["type"] == "quota"
    assert api.post("/rules", json=RULE | {"project": "other"}).status_code == 201


def test_a_dry_run_says_where_a_rule_would_have_fired_and_writes_nothing(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    low = {*range(10, 14), *range(20, 22), *range(30, 40)}
    post([{"step": s, "alpha_bar": 1.0 if s in low else 1.5} for s in range(50)])
    post([{"step": s, "rank": 1, "alpha_bar": 1.0} for s in range(5)])
    post([{"step": s, "layer": "fc", "alpha_bar": 1.0} for s in range(5)])
    other = new_run(name="other")
    api.post("/runs", json=other)
    api.post(f"/runs/{other['id']}/rows", json={"rows": [{"step": 1, "alpha_bar": 1.0}]})
    found = api.post("/rules/try", json={"rule": RULE}).json()
    assert [(one["rank"], one["step"]) for one in found["items"]] == [(0, 12), (0, 32), (1, 2)]
    assert found["next"] is None
    assert found["items"][0] == {
        "run_id": run_id,
        "run_name": "quiet-maple",
        "rank": 0,
        "step": 12,
        "value": 1.0,
        "text": "alpha_bar is 1: below 1.2, 3 times in a row",
    }
    assert api.get(f"/runs/{run_id}/events").json()["items"] == []
    once = {"rule": RULE | {"steps": 1}, "runs": [other["id"]]}
    assert len(api.post("/rules/try", json=once).json()["items"]) == 1
    elsewhere = {"rule": RULE | {"project": "elsewhere"}, "runs": [run_id]}
    assert api.post("/rules/try", json=elsewhere).json()["items"] == []


def test_a_dry_run_sees_values_of_each_attempt_as_it_found_them(
    api: httpx2.Client, post: Post
) -> None:
    post([{"step": s, "alpha_bar": 1.0 if s > 7 else 1.5} for s in range(10)], writer="a" * 36)
    post([{"step": s, "alpha_bar": 1.0} for s in range(8, 12)], writer="b" * 36)
    found = api.post("/rules/try", json={"rule": RULE}).json()["items"]
    assert [one["step"] for one in found] == [10]  # the first attempt had two low values only


def test_a_dry_run_over_many_rows_and_runs_comes_in_pages(
    collector: Server, api: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("htga_server.alerts.evaluate.ROWS_AT_ONCE", 7)
    monkeypatch.setattr(backtest, "MAX_RUNS", 2)
    ids = []
    for _ in range(5):
        run = new_run()
        api.post("/runs", json=run)
        rows = [{"step": s, "metrics": {"loss": "NaN" if s == 40 else 1.0}} for s in range(50)]
        api.post(f"/runs/{run['id']}/rows", json={"rows": rows})
        ids.append(run["id"])
    said = RULE | {"kind": "nonfinite", "key": "loss", "steps": 1}
    with Client(collector.url) as client:
        found = client.try_rule(wire.NewRule(**said))
    assert [one.run_id for one in found] == ids[::-1]
    assert {one.step for one in found} == {40}
    assert all(math.isnan(one.value) for one in found)
    bad = api.post("/rules/try", json={"rule": said, "cursor": "x"})
    assert bad.status_code == 422
