"""What is asked for is compared with what is stored, and never becomes a part of a statement."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from htga_client.wire import PREFIX
from htga_server.http.server import Server
from tests.support.rows import new_run

SQL = (
    "' OR '1'='1",
    "' OR 1=1 --",
    '" OR ""="',
    "') OR ('1'='1",
    "'; DROP TABLE runs; --",
    "1; DELETE FROM runs",
    "1 OR 1=1",
    "1) UNION SELECT null, null --",
    "' UNION SELECT id, id, id FROM tokens --",
    "' AND (SELECT count(*) FROM sqlite_master) > 0 --",
    "' AND 1=(SELECT 1 FROM pg_sleep(3)) --",
    "'||(SELECT version())||'",
    "' AND load_extension('x') --",
    "'; COPY runs TO '/tmp/x' --",
    "-created; DROP TABLE runs",
    "created, (SELECT 1)",
    "alpha_hat,(SELECT secret FROM tokens)",
    "alpha_hat') --",
    "%' --",
    "\\' OR 1=1 --",
    "\\",
    "$$; DROP TABLE runs; $$",
    "/**/OR/**/1=1",
    "x'41'",
    "E'\\x27'",
    ":name",
    "%(name)s",
    "%s",
    "?",
    "{0}",
    "\x00",
    "\ud7ff\uffff",
    "9" * 400,
    "-1",
    "1e309",
    "NaN",
    "0x7fffffffffffffff",
    "9223372036854775808",
)
VALUES = st.sampled_from(SQL) | st.text(max_size=30) | st.integers().map(str) | st.floats().map(str)
NAMES = st.text(alphabet="aA%_\\'\"", min_size=1, max_size=5)
PER_DATABASE = HealthCheck.function_scoped_fixture


def parameters(collector: Server, run_id: str) -> list[tuple[str, list[str]]]:
    """Every address of the API that can be asked for, and the names of what it takes."""
    found = [
        (path.replace("{run_id}", run_id), [one["name"] for one in operations["get"]["parameters"]])
        for path, operations in collector._app.openapi()["paths"].items()
        if "parameters" in operations.get("get", {}) and not path.endswith("/live")
    ]
    assert len(found) > 8
    return found


@pytest.fixture
def one_run(api: httpx2.Client) -> Iterator[str]:
    """A run with a row, which is there and unchanged at the end, and no other with it."""
    yield from untouched(api)


@pytest.fixture(scope="module")
def shared_run(shared_api: httpx2.Client) -> Iterator[str]:
    """`one_run` of the collector that tests share."""
    yield from untouched(shared_api)


def untouched(api: httpx2.Client) -> Iterator[str]:
    """Make a run, and see at the end that nothing has changed."""
    run = new_run(id=str(uuid.UUID(int=7)), name="untouched")
    api.post("/runs", json=run)
    rows = {"rows": [{"step": 1, "alpha_hat": 1.0, "metrics": {"loss": 2.0}}]}
    api.post(f"/runs/{run['id']}/rows", json=rows)
    before = api.get("/runs").json()
    yield run["id"]
    assert api.get("/runs").json() == before


@pytest.mark.slow
def test_no_value_of_any_parameter_is_an_error_of_ours_or_finds_what_it_should_not(
    collector: Server, one_run: str
) -> None:
    where = parameters(collector, one_run)
    usual = {"keys": "alpha_hat", "project": "digits"}

    @hypothesis_settings(max_examples=150, suppress_health_check=[PER_DATABASE])
    @given(at=st.sampled_from(where), value=VALUES, data=st.data())
    def ask(client: httpx2.Client, at: tuple[str, list[str]], value: str, data: Any) -> None:
        path, names = at
        name = data.draw(st.sampled_from(names))
        known = {key: usual[key] for key in names if key in usual}
        answer = client.get(path, params=known | {name: value})
        assert answer.status_code in {200, 403, 404, 422}, (path, name, value, answer.text)
        if path == f"{PREFIX}/runs" and name in {"project", "group", "tag"} and value != "digits":
            assert answer.status_code == 422 or not answer.json()["items"] or value == ""

    with httpx2.Client(base_url=collector.url) as client:
        for path, names in where:  # each known attack at each place, and then whatever comes
            for name in names:
                for value in SQL:
                    known = {key: usual[key] for key in names if key in usual}
                    answer = client.get(path, params=known | {name: value})
                    assert answer.status_code in {200, 403, 404, 422}, (path, name, value)
        ask(client)


@pytest.mark.parametrize("sort", ["name", "-created", "last_step"])
@pytest.mark.parametrize(
    "place",
    [
        [10**400, 1],
        [2**63, 1],
        [1, 2**63],
        [True, 1],
        [1.5, 1.5],
        ["\ud800", 1],
        ["a\0", 1],
        ["' OR 1=1 --", 1],
        [{"a": 1}, 1],
        [[], []],
        {},
        None,
        "x",
        1e400,
    ],
)
def test_a_cursor_that_someone_made_up_is_one_of_a_page_or_none_of_ours(
    shared_api: httpx2.Client, shared_run: str, sort: str, place: Any
) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(place).encode()).decode()
    answer = shared_api.get("/runs", params={"sort": sort, "cursor": cursor})
    assert answer.status_code in {200, 422}, answer.text
    if answer.status_code == 200:
        assert {run["id"] for run in answer.json()["items"]} <= {shared_run}


@pytest.mark.parametrize("value", SQL)
def test_what_looks_like_sql_is_a_token_or_an_id_of_no_run(
    shared_api: httpx2.Client, value: str
) -> None:
    body = {"id": value, "project": "p", "name": "n"}
    assert shared_api.post("/runs", json=body).status_code == 422
    assert shared_api.put("/rules/1", json={"project": value}).status_code == 422


def test_a_search_finds_the_text_and_takes_no_sign_for_any_other(api: httpx2.Client) -> None:
    known: dict[str, str] = {}

    @hypothesis_settings(max_examples=60, suppress_health_check=[PER_DATABASE])
    @given(name=NAMES, wanted=NAMES)
    def search(name: str, wanted: str) -> None:
        run = new_run(name=name, project="p")
        assert api.post("/runs", json=run).status_code == 201
        known[run["id"]] = name
        parts = wanted.split('"')
        q = " ".join(f'name:"{part}"' for part in parts)
        listed = api.get("/runs", params={"q": q, "limit": 1000}).json()["items"]
        assert {one["id"] for one in listed} == {
            id_ for id_, own in known.items() if all(part.lower() in own.lower() for part in parts)
        }

    search()
