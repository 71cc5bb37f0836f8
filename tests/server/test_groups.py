"""Means over the runs of a group, on SQLite and on Postgres."""

from __future__ import annotations

import math
import random
from typing import Any

import httpx2
import pytest
from scipy import stats

from htga_client import Client
from htga_server import groups
from htga_server.serve import Server
from tests.support.rows import new_run


def log(api: httpx2.Client, values: list[Any], **about: Any) -> str:
    run = new_run(**about)
    api.post("/runs", json=run)
    rows = [{"step": step, "metrics": {"loss": value}} for step, value in enumerate(values)]
    assert api.post(f"/runs/{run['id']}/rows", json={"rows": rows}).json()["accepted"] == len(rows)
    return str(run["id"])


def test_each_bucket_has_the_mean_of_its_runs_and_its_interval(
    api: httpx2.Client, collector: Server
) -> None:
    dice = random.Random(1)
    seeds = [[dice.gauss(0, 1) for _ in range(length)] for length in (1000, 1000, 700)]
    seeds[1][333] = 1e6
    ids = [log(api, values, group="a") for values in seeds]
    other = log(api, [1.0] * 10, group="b")
    with Client(collector.url) as client:
        b, a = client.groups("digits", "loss", buckets=50)
    assert (a.label, b.label, b.members) == ("a", "b", (other,))
    assert sorted(a.members) == sorted(ids)
    width = 24  # the least of 1 to 7 times a power of 8 that makes at most 50 of 1000 steps
    assert a.step == [min(999, at + width - 1) for at in range(0, 1000, width)]
    loss = a.keys["loss"]
    for place, at in enumerate(range(0, 1000, width)):
        parts = [values[at : at + width] for values in seeds if values[at : at + width]]
        means = [math.fsum(part) / len(part) for part in parts]
        assert loss.n[place] == len(means) == (3 if at < 700 else 2)
        assert loss.mean[place] == pytest.approx(math.fsum(means) / len(means))
        expected = stats.t.interval(
            0.95, len(means) - 1, loc=stats.tmean(means), scale=stats.sem(means)
        )
        assert (loss.low[place], loss.high[place]) == pytest.approx(expected, rel=1e-4)
        assert loss.sd[place] == pytest.approx(stats.tstd(means))
        assert loss.min[place] == min(map(min, parts))
        assert loss.max[place] == max(map(max, parts))
    assert max(value for value in loss.max if value is not None) == 1e6
    alone = b.keys["loss"]
    assert (alone.n, alone.sd, alone.low) == ([1], [None], [None])


def test_what_is_not_finite_has_no_part_in_a_mean_and_is_seen_in_the_range(
    api: httpx2.Client,
) -> None:
    for values in ([1.0, 2.0, 3.0, "NaN"], [3.0, "Infinity", "NaN", "NaN"]):
        log(api, values)
    asked = {"project": "digits", "keys": "loss"}
    (found,) = api.get("/groups/series", params=asked).json()["items"]
    loss = found["keys"]["loss"]
    assert loss["n"] == [2, 1, 1, 0]
    assert loss["mean"] == [2.0, 2.0, 3.0, None]
    assert (loss["low"][1:], loss["min"]) == ([None] * 3, [1.0, 2.0, 3.0, "NaN"])
    assert loss["max"] == [3.0, "Infinity", 3.0, "NaN"]


def test_runs_are_grouped_by_a_setting_and_chosen_by_state_and_tag(api: httpx2.Client) -> None:
    for lr, tag in ((0.1, "x"), (0.1, "y"), ({"peak": 1}, "x"), (None, "x")):
        log(api, [1.0], config={"opt": {"lr": lr}}, tags=[tag])

    def labels(**params: str) -> dict[str, int]:
        asked = {"project": "digits", "keys": "loss", "by": "config.opt.lr"} | params
        items = api.get("/groups/series", params=asked).json()["items"]
        return {item["label"]: len(item["members"]) for item in items}

    assert labels() == {"0.1": 2, '{"peak": 1}': 1, "": 1}
    assert labels(tag="y") == {"0.1": 1}
    assert labels(state="finished") == labels(project="none") == {}
    assert labels(by="config.opt.lr.peak") == {"": 3, "1": 1}


def test_a_question_that_makes_no_sense_is_refused(
    api: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        log(api, [1.0])
    asked = {"project": "digits", "keys": "loss"}
    for bad, words in (
        ({"keys": "lass"}, "no run has"),
        ({"by": "tags"}, "by"),
        ({"keys": ""}, "keys"),
    ):
        answer = api.get("/groups/series", params=asked | bad)
        assert (answer.status_code, words in answer.json()["detail"]) == (422, True)
    monkeypatch.setattr(groups, "MOST_RUNS", 1)
    answer = api.get("/groups/series", params=asked)
    assert (answer.status_code, "more than 1 runs" in answer.json()["detail"]) == (422, True)


def test_many_runs_have_fewer_buckets(api: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        log(api, [1.0] * 500)
    monkeypatch.setattr(groups, "MOST_POINTS", 100)
    asked = {"project": "digits", "keys": "loss", "buckets": "400"}
    (found,) = api.get("/groups/series", params=asked).json()["items"]
    assert 20 < len(found["step"]) <= 50
    assert found["step"][-1] == 499
