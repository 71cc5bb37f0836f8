from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from htga_server.http.server import Server
from htga_server.storage.tables import runs
from tests.support.rows import new_run

Post = Callable[..., httpx2.Response]


def test_registering_twice_makes_one_run(api: httpx2.Client) -> None:
    new = new_run(
        config={"lr": 0.1}, tags=["a", "b"], group="g", notes="n", writer=str(uuid.uuid4())
    )
    first, second = api.post("/runs", json=new), api.post("/runs", json=new)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    run = first.json()
    assert (run["config"], run["tags"], run["group"]) == ({"lr": 0.1}, ["a", "b"], "g")
    assert (run["state"], run["attempt"]) == ("running", 1)


def test_a_run_that_is_continued_keeps_its_labels_and_the_answer_names_those_given_anew(
    api: httpx2.Client,
) -> None:
    new = new_run(writer=str(uuid.uuid4()), tags=["a"], notes="n", group="g")
    first = api.post("/runs", json=new).json()
    anew = {"project": "other", "name": "other", "tags": ["b"], "notes": "other", "group": "other"}
    for defaults in ([], ["project"], ["project", "name"], ["name", "project", "tags", 7]):
        known = {"defaults": defaults, "writer": str(uuid.uuid4())}
        answer = api.post("/runs", json=new | anew | known)
        assert answer.status_code == 200
        again = answer.json()
        assert {name: again[name] for name in anew} == {name: first[name] for name in anew}
        named = {change.split()[1] for change in again["changes"]}
        assert named == anew.keys() - {name for name in defaults if name != "tags"}
        assert "changes" not in api.post("/runs", json=new | anew | known).json()
    nothing = {"name": first["name"], "tags": [], "notes": "", "writer": str(uuid.uuid4())}
    assert "changes" not in api.post("/runs", json=new | nothing).json()


def test_a_run_can_be_kept_from_being_taken_up_or_from_being_begun(api: httpx2.Client) -> None:
    new = new_run(writer=str(uuid.uuid4()))
    assert api.post("/runs", json=new | {"resume": "must"}).status_code == 404
    assert api.post("/runs", json=new | {"resume": "never"}).status_code == 201
    assert api.post("/runs", json=new | {"resume": "never"}).status_code == 200
    other = api.post("/runs", json=new | {"resume": "never", "writer": str(uuid.uuid4())})
    assert (other.status_code, other.json()["type"]) == (409, "run-exists")
    assert api.post("/runs", json=new | {"resume": "must"}).status_code == 200


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"id": "../../etc"}, "id must be a UUID"),
        ({"id": 7}, "id must be a UUID"),
        ({"writer": "me"}, "writer must be a UUID"),
        ({"writer": ["me"]}, "writer must be a UUID"),
        ({"resume": "perhaps"}, "resume must be one of"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(
    api: httpx2.Client, bad: dict[str, object], words: str
) -> None:
    answer = api.post("/runs", json=new_run() | bad)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def register(api: httpx2.Client, new: dict[str, Any]) -> httpx2.Response:
    # The client's own encoder refuses lone surrogates and NaN.
    body, headers = json.dumps(new), {"content-type": "application/json"}
    return api.post("/runs", content=body, headers=headers)


BAD_PARTS: list[tuple[str, Any, Any]] = [
    ("name", "n" * 1025, "n" * 1023 + "…"),
    ("name", "", None),
    ("name", 7, "7"),
    ("name", None, None),
    ("name", "a\0b\ud800", "a\ufffdb\ufffd"),
    ("project", "p" * 5000, "p" * 1023 + "…"),
    ("project", "", "default"),
    ("group", ["g"], "['g']"),
    ("notes", "\0", "\ufffd"),
    ("notes", "x" * 70_000, "x" * 65_535 + "…"),
    ("tags", 3, ["3"]),
    ("tags", ["a\0", {"b": 1}, "t" * 2000], ["a\ufffd", "{'b': 1}", "t" * 1023 + "…"]),
    ("tags", ["t"] * 300, ["t"] * 256),
    ("config", {"a": ["\udfff"], "b\0": 1}, {"a": ["\ufffd"], "b\ufffd": 1}),
    ("config", {"big": "x" * 3_200_000, "lr": 0.1, "net": {"w": "y" * 2_000_000, "d": 3}},
     {"lr": 0.1, "net": {"d": 3}}),
    ("config", [1, 2], {}),
    ("config", {"huge": 10**4000}, {"huge": str(10**4000)}),
    ("environment", {"host": "\ud83d", "packages": {str(i): "v" * 999 for i in range(3000)}}, None),
]  # fmt: skip


@pytest.mark.parametrize(("part", "value", "stored"), BAD_PARTS)
def test_a_run_with_a_part_that_cannot_be_kept_is_stored_without_it_and_told_so(
    api: httpx2.Client, part: str, value: Any, stored: Any
) -> None:
    new = new_run(notes="kept", writer=str(uuid.uuid4())) | {part: value}
    first, second = (register(api, new) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200), first.text
    run = first.json()
    if part != "config" or stored != {"huge": str(10**4000)}:
        assert all(change.startswith((part, "a tag", "of 300 tags")) for change in run["changes"])
        assert run["changes"]
    shown = api.get(f"/runs/{run['id']}").json()
    assert (
        first.json() | {"changes": []} == second.json() | {"changes": []} == shown | {"changes": []}
    )
    if stored is not None:
        assert shown[part] == stored
    assert shown["name"]
    assert len(json.dumps(shown["environment"])) < 2**21
    assert part == "notes" or shown["notes"] == "kept"
    assert api.post(f"/runs/{run['id']}/rows", json={"rows": [{"step": 0}]}).json()["accepted"] == 1
    assert api.get("/runs").status_code == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats()
    | st.text(st.characters(categories=None), max_size=20) | st.just("x" * 1_100_000),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(categories=None), max_size=5), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
PARTS = ("project", "name", "group", "tags", "notes", "config", "environment", "anything")


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.dictionaries(st.sampled_from(PARTS), JSON))
def test_whatever_a_registration_holds_the_run_is_stored_and_can_be_read(
    shared_api: httpx2.Client, parts: dict[str, Any]
) -> None:
    new = new_run() | parts
    answer = register(shared_api, new)
    assert answer.status_code == 201, answer.text
    kept = {name: answer.json()[name] for name in PARTS if name != "anything"}
    again = shared_api.post("/runs", json=new_run() | kept)
    assert (again.status_code, again.json().get("changes")) == (201, None)
    rows = {"rows": [{"step": 0, "alpha_hat": 1.0}]}
    assert shared_api.post(f"/runs/{new['id']}/rows", json=rows).json()["accepted"] == 1
    assert shared_api.get("/runs", params={"ids": new["id"]}).json()["items"][0]["id"] == new["id"]


def test_pages_hold_every_run_once_newest_first(api: httpx2.Client) -> None:
    made = [api.post("/runs", json=new_run(name=f"run {i}")).json()["id"] for i in range(7)]
    seen, cursor = [], None
    while True:
        params = {"limit": 3} | ({} if cursor is None else {"cursor": cursor})
        page = api.get("/runs", params=params).json()
        seen += [run["id"] for run in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made[::-1]


def test_runs_are_found_by_project_group_tag_text_and_state(api: httpx2.Client) -> None:
    one = api.post("/runs", json=new_run(name="50% off_x", group="g", tags=["t"])).json()["id"]
    two = api.post("/runs", json=new_run(name="other", project="p2")).json()["id"]
    api.post(f"/runs/{two}/finish", json={"state": "failed"})

    def found(**params: str) -> list[str]:
        return [run["id"] for run in api.get("/runs", params=params).json()["items"]]

    assert found(project="p2") == [two]
    assert found(group="g") == found(tag="t") == found(q="50% OFF_") == [one]
    assert found(q="5__ off") == []
    assert found(state="failed") == [two]
    assert found(ids=f"{one},nobody,{two}") == [two, one]
    assert found(ids=f"{one},{two}", project="p2") == [two]
    assert found(ids="") == []
    many = api.get("/runs", params={"ids": ",".join(map(str, range(1001)))})
    assert (many.status_code, "more than 1000 ids" in many.json()["detail"]) == (422, True)
    assert found(state="running") == [one]


def test_a_finished_run_says_when_and_a_new_writer_takes_it_up_again(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    post([{"step": 0, "alpha_hat": 1.0}], writer=str(uuid.uuid4()))
    done = api.post(f"/runs/{run_id}/finish", json={}).json()
    assert (done["state"], done["finished"] >= done["created"]) == ("finished", True)
    post([{"step": 1, "alpha_hat": 1.0}], writer=str(uuid.uuid4()))
    again = api.get(f"/runs/{run_id}").json()
    assert (again["state"], again["finished"], again["attempt"]) == ("running", None, 2)


@pytest.mark.parametrize(("silent", "state"), [(10, "running"), (200, "stale"), (2000, "lost")])
def test_a_silent_run_turns_stale_then_lost_and_comes_back_with_its_next_row(
    api: httpx2.Client, collector: Server, run_id: str, post: Post, silent: float, state: str
) -> None:
    post([{"step": 0, "alpha_hat": 1.0}])
    before = sa.update(runs).values(updated=runs.c.updated - silent)
    collector._app.state.database.write_now(lambda connection: connection.execute(before))
    assert api.get(f"/runs/{run_id}").json()["state"] == state
    post([{"step": 1, "alpha_hat": 1.0}])
    assert api.get(f"/runs/{run_id}").json()["state"] == "running"


def test_what_people_say_of_a_run_can_be_changed_and_the_rest_stays(
    api: httpx2.Client,
) -> None:
    before = api.post("/runs", json=new_run(name="old", tags=["a"], notes="n")).json()
    changed = api.patch(f"/runs/{before['id']}", json={"name": "new", "tags": [], "notes": None})
    after = before | {"name": "new", "tags": []}
    assert changed.json() == api.get(f"/runs/{before['id']}").json() == after
    again = api.post("/runs", json=new_run(id=before["id"], name="old"))
    assert (again.status_code, again.json()["name"]) == (200, "new")


@pytest.mark.parametrize(
    "bad",
    [
        {"name": ""},
        {"name": "a\0b"},
        {"tags": ["\0"]},
        {"state": "failed"},
        {"tags": "a"},
        [],
        None,
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(
    api: httpx2.Client, run_id: str, bad: object
) -> None:
    before = api.get(f"/runs/{run_id}").json()
    patch = {"notes": "x"} | bad if isinstance(bad, dict) else bad
    answer = api.patch(f"/runs/{run_id}", json=patch)
    assert (answer.status_code, answer.json()["type"]) == (422, "invalid")
    assert api.get(f"/runs/{run_id}").json() == before


def test_a_page_of_another_site_cannot_reach_the_collector_under_its_own_name(
    api: httpx2.Client,
) -> None:
    assert api.get("/runs", headers={"host": "evil.example"}).status_code == 400
    assert api.get("/runs", headers={"host": "127.0.0.1.evil.example"}).status_code == 400
    assert api.get("/runs", headers={"host": "localhost:1"}).status_code == 200


@pytest.mark.parametrize("sort", ["name", "-name", "created", "-created", "-last_step", "updated"])
def test_pages_in_any_order_hold_each_run_once(api: httpx2.Client, sort: str) -> None:
    made = [api.post("/runs", json=new_run(name=name)).json() for name in "bacaa"]
    for step, run in enumerate(made[:3]):
        rows = {"rows": [{"step": 10 - step, "alpha_hat": 1.0}]}
        api.post(f"/runs/{run['id']}/rows", json=rows)
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        params = {"sort": sort, "limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = api.get("/runs", params=params).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    key = sort.removeprefix("-")
    values = [run[key] for run in found if run[key] is not None]
    assert len({run["id"] for run in found}) == 5
    assert values == sorted(values, reverse=sort.startswith("-"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("cursor", ["x", "W10=", "WzEsMl0=!", "WyJhIiwgMV0=", "bnVsbA=="])
def test_a_cursor_that_is_none_of_ours_is_refused(api: httpx2.Client, cursor: str) -> None:
    answer = api.get("/runs", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (422, "invalid")


def test_a_run_says_the_last_the_least_and_the_greatest_of_each_key(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    for step, value in enumerate([3.0, float("nan"), -1.0, 2.0]):
        post([{"step": step, "alpha_hat": value, "metrics": [("loss", value * 2)]}])
    post([{"step": 1, "gamma": 9.0}])  # late
    run = api.get(f"/runs/{run_id}").json()
    assert run["summary"] == {"alpha_hat": 2.0, "loss": 4.0, "gamma": 9.0}
    assert run["low"] == {"alpha_hat": -1.0, "loss": -2.0, "gamma": 9.0}
    assert run["high"] == {"alpha_hat": 3.0, "loss": 6.0, "gamma": 9.0}


def test_a_page_of_runs_stays_small_whatever_its_runs_hold(api: httpx2.Client) -> None:
    config = {"prompt": "x" * 200_000}
    made = [
        api.post("/runs", json=new_run(config=config, environment={"e": "y" * 100_000})).json()
        for _ in range(50)
    ]
    assert made[0]["environment"] == {"e": "y" * 100_000}
    found: list[str] = []
    cursor = None
    while cursor is not None or not found:
        said = api.get("/runs", params={"limit": 1000} | ({"cursor": cursor} if cursor else {}))
        assert len(said.content) < 9 * 2**20
        found += [run["id"] for run in said.json()["items"]]
        assert {run["config"] == config for run in said.json()["items"]} == {True}
        cursor = said.json()["next"]
    assert found == [run["id"] for run in reversed(made)]
    assert api.get(f"/runs/{found[0]}").json()["environment"] == {"e": "y" * 100_000}


def test_the_writers_of_one_start_are_one_attempt_in_whatever_order_they_come(
    api: httpx2.Client, post_to: Callable[..., httpx2.Response]
) -> None:
    new = new_run()

    def begin(rank: int, start: str | None, **other: Any) -> httpx2.Response:
        writer = str(uuid.uuid4())
        answer = api.post("/runs", json=new | {"writer": writer, "start": start} | other)
        if answer.is_success:
            rows = [{"step": 0, "rank": rank, "alpha_hat": 1.0}]
            assert post_to(new["id"], rows, writer=writer).json()["accepted"] == 1
        return answer

    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    for rank in (2, 0, 1):
        assert begin(rank, first, resume="never").json()["attempt"] == 1
    assert begin(0, second, resume="never").status_code == 409
    for rank in (1, 0, 2):
        assert begin(rank, second).json()["attempt"] == 2
    api.post(f"/runs/{new['id']}/finish", json={})
    assert begin(3, first).json()["state"] == "finished"  # what one of the first had left on disk
    sql = "SELECT attempt, list_sort(list(rank)) FROM all_steps GROUP BY attempt ORDER BY attempt"
    found = api.post("/query", json={"sql": sql}).json()["rows"]
    assert found == [[1, [0, 1, 2, 3]], [2, [0, 1, 2]]]
    for rank, attempt in ((0, 3), (1, 4)):  # a client of an older version says no start
        assert begin(rank, None).json()["attempt"] == attempt
    assert begin(0, "x" * 1000).json()["attempt"] == 5
