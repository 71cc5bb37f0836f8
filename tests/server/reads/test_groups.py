"""Means over the runs of a group, on SQLite and on Postgres."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from htga_client import Client
from htga_client.wire import ARROW_STREAM, PREFIX, Run
from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.reads import groups
from htga_server.settings import Settings
from tests.support.rows import new_run, stream

BEGIN = 1.7e9
BATCH = 25_000


def post(api: httpx2.Client, rows: Sequence[dict[str, Any]], **about: Any) -> str:
    run = new_run(**about)
    api.post("/runs", json=run)
    send(api, run["id"], rows)
    return str(run["id"])


def send(api: httpx2.Client, run_id: str, rows: Sequence[dict[str, Any]]) -> None:
    headers = {"content-type": ARROW_STREAM}
    for begin in range(0, len(rows), BATCH):
        body = stream(rows[begin : begin + BATCH])
        answer = api.post(f"/runs/{run_id}/rows", content=body, headers=headers)
        assert answer.json()["accepted"] == len(rows[begin : begin + BATCH])


def log(
    api: httpx2.Client, values: Iterable[float], *, every: int = 1, seconds: float = 1, **about: Any
) -> str:
    """A run that logs its loss every few steps, each of which takes so many seconds."""
    rows = [
        {"step": step, "time": BEGIN + step * seconds, "metrics": [("loss", value)]}
        for step, value in zip(range(0, 2**40, every), values)  # noqa: B905 (the values end first)
    ]
    return post(api, rows, **about)


def read(api: httpx2.Client, *ids: str, **params: Any) -> list[dict[str, Any]]:
    asked = {"runs": ",".join(ids), "keys": "loss"} | params
    answer = api.get("/groups/series", params=asked)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_each_bucket_has_the_mean_of_its_runs_and_its_interval(
    api: httpx2.Client, collector: Server
) -> None:
    rng = random.Random(1)
    seeds = [[rng.gauss(0, 1) for _ in range(length)] for length in (1000, 1000, 700)]
    seeds[1][333] = 1e6
    ids = [log(api, values, group="a") for values in seeds]
    other = log(api, [1.0] * 10, group="b")
    with Client(collector.url) as client:
        b, a = client.groups("loss", project="digits", by="group", buckets=50)
        settings = ["group", "config.lr"]
        runs: list[Run | str] = [client.run(other), *ids]
        first, rest = client.groups(["loss"], runs=runs, by=settings, x="relative", stop=5)
        assert [one.label for one in client.groups("loss", runs=ids[:2])] == ["quiet-maple"] * 2
    assert (first.label, rest.label) == ("group=b, lr=(none)", "group=a, lr=(none)")
    assert (len(first.x), rest.members) == (5, tuple(ids))
    assert (a.label, b.label, b.members) == ("group=a", "group=b", (other,))
    assert sorted(a.members) == sorted(ids)
    width = 24  # the least of 1 to 7 times a power of 8 that makes at most 50 of 1000 steps
    assert a.x == [min(999, at + width - 1) for at in range(0, 1000, width)]
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
    assert (alone.n, alone.sd, alone.low) == ([1] * 10, [None] * 10, [None] * 10)


def test_what_is_not_finite_has_no_part_in_a_mean_and_is_seen_in_the_range(
    api: httpx2.Client,
) -> None:
    nan, inf = math.nan, math.inf
    ids = [log(api, values) for values in ([1.0, 2.0, 3.0, nan], [3.0, inf, nan, nan])]
    (found,) = read(api, *ids, by="group")
    loss = found["keys"]["loss"]
    assert loss["n"] == [2, 1, 1, 0]
    assert loss["mean"] == [2.0, 2.0, 3.0, None]
    assert (loss["low"][1:], loss["min"]) == ([None] * 3, [1.0, 2.0, 3.0, "NaN"])
    assert loss["max"] == [3.0, "Infinity", 3.0, "NaN"]


def test_seeds_that_log_at_other_steps_have_a_mean_without_zigzag(api: httpx2.Client) -> None:
    ids = [
        log(api, [1.0] * 21, every=10),
        log(api, [3.0] * 30, every=7),
    ]
    (found,) = read(api, *ids, by="group")
    loss = found["keys"]["loss"]
    assert found["x"] == sorted({*range(0, 201, 10), *range(0, 204, 7)})
    assert set(loss["mean"][:-1]) == {2.0}
    assert (loss["n"][-1], loss["mean"][-1]) == (1, 3.0)  # step 203, after the other's last
    assert (set(loss["min"][:-1]), set(loss["max"])) == ({1.0}, {3.0})


def test_a_spike_of_one_step_of_one_seed_is_in_the_extremes_of_its_group(
    api: httpx2.Client,
) -> None:
    spiked = [1.0] * 100_000
    spiked[54_321] = 1e4
    ids = [
        log(api, spiked, seconds=0.01),
        log(api, [1.0] * 14_000, every=7, seconds=0.013),
        log(api, [1.0] * 10_000, every=10, seconds=0.011),
    ]
    for x, place in (("step", 54_321), ("time", BEGIN + 543.21), ("relative", 543.21)):
        (found,) = read(api, *ids, by="group", x=x, buckets=300)
        loss = found["keys"]["loss"]
        assert len(found["x"]) <= 300
        assert max(loss["max"]) == 1e4
        assert max(loss["n"]) == 3
        width = (found["x"][-1] - found["x"][0]) / len(found["x"])
        assert abs(found["x"][loss["max"].index(1e4)] - place) <= 2 * width


def test_relative_time_counts_from_the_first_row_of_each_run(api: httpx2.Client) -> None:
    rows: list[dict[str, Any]]
    rows = [{"step": step, "time": BEGIN + step, "alpha_hat": 1.0} for step in range(9)]
    rows += [{"step": 4, "time": BEGIN + 4, "metrics": [("loss", 2.0)]}]
    late = post(api, rows)
    early = log(api, [2.0] * 9, seconds=2)
    (found,) = read(api, late, early, by="group", x="relative")
    assert found["x"] == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert found["keys"]["loss"]["n"] == [1, 1, 2, 1, 1, 1, 1, 1, 1]
    (zoomed,) = read(api, late, x="relative", start=3)
    assert zoomed["x"] == [4.0]
    (day,) = read(api, late, x="time")
    assert day["x"] == [BEGIN + 4]


def test_runs_are_given_in_the_order_asked_for_without_those_that_are_unknown(
    api: httpx2.Client,
) -> None:
    one, two, gone = (log(api, [1.0], name=name) for name in ("one", "two", "gone"))
    unknown = str(uuid.uuid4())
    asked = (two, unknown, gone, one, two, "' OR 1=1 --", "\x00", "")
    assert [item["label"] for item in read(api, *asked)] == ["two", "gone", "one"]
    api.delete(f"/runs/{gone}")
    found = read(api, *asked, by="run")
    assert [(item["label"], item["members"]) for item in found] == [("two", [two]), ("one", [one])]
    assert read(api, unknown) == read(api, "") == []
    assert read(api, one, state="finished") == []


def test_runs_are_grouped_by_several_settings_that_the_label_names(api: httpx2.Client) -> None:
    configs: tuple[dict[str, Any], ...] = (
        {"lr": 0.1, "net": {"width": 8}},
        {"lr": 0.1, "net": {"width": 8}},
        {"lr": 0.1, "net.width": "8"},
        {"lr": None, "net": 8},
        {},
    )
    ids = [log(api, [1.0], config=config, group="warm") for config in configs]

    def labels(*by: str) -> dict[str, int]:
        return {item["label"]: len(item["members"]) for item in read(api, *ids, by=by)}

    assert labels("config.lr", "config.net.width") == {
        "lr=0.1, net.width=8": 3,
        "lr=null, net.width=(none)": 1,
        "lr=(none), net.width=(none)": 1,
    }
    assert labels("group", "config.net") == {
        'group=warm, net={"width": 8}': 2,
        "group=warm, net=(none)": 2,
        "group=warm, net=8": 1,
    }
    for by in ((), ("run",), ("group", "run")):
        assert [item["members"] for item in read(api, *ids, by=by)] == [[run_id] for run_id in ids]


def test_runs_of_a_project_are_chosen_by_state_and_tag(api: httpx2.Client) -> None:
    for lr, tag in ((0.1, "x"), (0.1, "y"), ({"peak": 1}, "x"), (None, "x")):
        log(api, [1.0], config={"opt": {"lr": lr}}, tags=[tag])

    def labels(**params: str) -> dict[str, int]:
        asked = {"project": "digits", "keys": "loss", "by": "config.opt.lr"} | params
        items = api.get("/groups/series", params=asked).json()["items"]
        return {item["label"]: len(item["members"]) for item in items}

    assert labels() == {"opt.lr=0.1": 2, 'opt.lr={"peak": 1}': 1, "opt.lr=null": 1}
    assert labels(tag="y") == {"opt.lr=0.1": 1}
    assert labels(state="finished") == labels(project="none") == {}
    assert labels(by="config.opt.lr.peak") == {"opt.lr.peak=(none)": 3, "opt.lr.peak=1": 1}


def test_a_run_without_the_key_an_empty_one_and_one_of_a_single_step_have_their_place(
    api: httpx2.Client,
) -> None:
    hostile = "<img src=x onerror=alert(1)>, <b>50 %"
    rows = [{"step": 5, "time": BEGIN, "metrics": [(hostile, 2.0)]}]
    single, other, empty = post(api, rows), log(api, [1.0, 1.0]), post(api, [])
    key = "%3Cimg src%3Dx onerror%3Dalert(1)%3E%2C %3Cb%3E50 %25"
    for x, at in (("step", 5), ("time", BEGIN), ("relative", 0)):
        each = read(api, single, other, empty, keys=key, x=x)
        assert [item["x"] for item in each] == [[at], [], []]
        assert each[0]["keys"][hostile]["mean"] == [2.0]
        (found,) = read(api, single, other, empty, keys=key, x=x, by="group")
        assert (found["x"], found["keys"][hostile]["n"]) == ([at], [1])
        assert len(found["members"]) == 3
    (both,) = read(api, single, other, keys=f"{key},loss", by="group")
    assert both["x"] == [0, 1, 5]
    assert both["keys"][hostile]["max"] == [None, None, 2.0]
    assert both["keys"]["loss"]["max"] == [1.0, 1.0, None]


def test_a_question_that_makes_no_sense_is_refused(
    api: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [log(api, [1.0]) for _ in range(2)]
    asked = {"project": "digits", "keys": "loss"}
    for bad, words in (
        ({"keys": "lass"}, "no run has"),
        ({"by": "tags"}, "by"),
        ({"keys": ""}, "keys"),
        ({"x": "sideways"}, "x"),
        ({"runs": ids[0]}, "either project or runs"),
        ({"project": None}, "either project or runs"),
    ):
        params = {name: value for name, value in (asked | bad).items() if value is not None}
        answer = api.get("/groups/series", params=params)
        assert (answer.status_code, words in answer.json()["detail"]) == (422, True)
    monkeypatch.setattr(groups, "MAX_RUNS", 1)
    for chosen in ({"project": "digits"}, {"runs": ",".join(ids)}):
        answer = api.get("/groups/series", params=chosen | {"keys": "loss"})
        assert (answer.status_code, "more than 1 runs" in answer.json()["detail"]) == (422, True)


def test_many_runs_have_fewer_buckets(api: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [log(api, [1.0] * 500) for _ in range(2)]
    monkeypatch.setattr(groups, "MAX_POINTS", 100)
    (found,) = read(api, *ids, by="group", buckets=400)
    assert 20 < len(found["x"]) <= 50
    assert found["x"][-1] == 499


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """An API on SQLite that many examples share."""
    settings = Settings(data=tmp_path_factory.mktemp("shared"))
    with (
        Server(create_app(settings)).background() as server,
        httpx2.Client(base_url=server.url + PREFIX, timeout=30) as client,
    ):
        yield client


VALUES = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])
RUN = st.tuples(st.dictionaries(st.integers(0, 99), VALUES, max_size=30), st.integers(1, 9))
EXAMPLES = hypothesis_settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
AXES = st.sampled_from(["step", "time", "relative"])


def rows_of(run: tuple[dict[int, float], int]) -> list[dict[str, Any]]:
    values, seconds = run
    return [
        {"step": step, "time": BEGIN + step * seconds, "metrics": [("loss", values[step])]}
        for step in sorted(values)
    ]


@given(st.lists(RUN, min_size=1, max_size=4), AXES, st.integers(5, 60), st.randoms())
@EXAMPLES
def test_numbers_of_a_group_do_not_depend_on_the_order_of_its_runs_and_keep_theirs(
    shared: httpx2.Client,
    runs: list[tuple[dict[int, float], int]],
    x: str,
    buckets: int,
    rng: random.Random,
) -> None:
    ids = [post(shared, rows_of(run)) for run in runs]
    if not any(values for values, _ in runs):
        return
    (found,) = read(shared, *ids, by="group", x=x, buckets=buckets)
    rng.shuffle(ids)
    (other,) = read(shared, *ids, by="group", x=x, buckets=buckets)
    loss, again = found["keys"]["loss"], other["keys"]["loss"]
    assert (found["x"], loss["n"]) == (other["x"], again["n"])
    assert len(found["x"]) <= buckets
    for part in ("mean", "sd", "low", "high"):
        for one, two in zip(loss[part], again[part], strict=True):
            assert one == two or one == pytest.approx(two, rel=1e-6, abs=1e-6)
    assert (loss["min"], loss["max"]) == (again["min"], again["max"])
    for n, mean, low, high in zip(*(loss[p] for p in ("n", "mean", "min", "max")), strict=True):
        assert n <= len(runs)
        assert (mean is None) == (n == 0)
        if n:
            slack = 1e-9 * (1 + abs(mean))
            assert float(low) - slack <= mean <= float(high) + slack


@given(RUN.filter(lambda run: bool(run[0])), st.integers(1, 60))
@EXAMPLES
def test_a_group_of_one_is_its_series(
    shared: httpx2.Client, run: tuple[dict[int, float], int], buckets: int
) -> None:
    run_id = post(shared, rows_of(run))
    series = shared.get(f"/runs/{run_id}/series?keys=loss&buckets={buckets}").json()
    whole = series["keys"]["loss"]
    start = BEGIN + min(run[0]) * run[1]
    for x, places in (
        ("step", series["step"]),
        ("time", series["time"]),
        ("relative", [time - start for time in series["time"]]),
    ):
        (found,) = read(shared, run_id, x=x, buckets=buckets)
        loss = found["keys"]["loss"]
        assert found["x"] == places
        assert (loss["min"], loss["max"]) == (whole["min"], whole["max"])
        finite = [None if isinstance(mean, str) else mean for mean in whole["mean"]]
        assert loss["mean"] == finite
        assert loss["n"] == [int(mean is not None) for mean in finite]


@given(
    st.lists(RUN, min_size=1, max_size=3).filter(lambda runs: any(v for v, _ in runs)),
    AXES,
    st.integers(1, 7),
)
@EXAMPLES
def test_how_rows_were_sent_changes_nothing(
    shared: httpx2.Client, runs: list[tuple[dict[int, float], int]], x: str, size: int
) -> None:
    whole = [post(shared, rows_of(run)) for run in runs]
    parted = []
    for run in runs:
        rows = rows_of(run)
        parted.append(post(shared, rows[:size]))
        for begin in range(size, len(rows), size):
            send(shared, parted[-1], rows[begin : begin + size])
    (one,) = read(shared, *whole, by="group", x=x, buckets=20)
    (other,) = read(shared, *parted, by="group", x=x, buckets=20)
    assert (one["x"], one["keys"]) == (other["x"], other["keys"])


def test_times_that_go_back_after_a_resume_are_laid_in_their_order(shared: httpx2.Client) -> None:
    times = [0, 1, 2, 13, 14, 15, 6, 7, 8, 9]  # steps 3 to 5 are the later attempt's already
    rows = [
        {"step": step, "time": BEGIN + time, "alpha_hat": float(time)}
        for step, time in enumerate(times)
    ]
    steady = [{"step": step, "time": BEGIN + step, "alpha_hat": 0.0} for step in range(16)]
    ids = [post(shared, own) for own in (rows, steady)]
    (found,) = read(shared, *ids, keys="alpha_hat", by="group", x="relative")
    assert found["x"] == list(range(16))
    assert found["keys"]["alpha_hat"]["mean"] == pytest.approx([time / 2 for time in range(16)])
