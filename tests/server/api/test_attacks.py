"""Names and bodies that are meant to do harm."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import htga_server
from htga_client.wire import ARROW_STREAM
from htga_client.wire.text import clean_text
from htga_server.http.server import Server
from tests.support.routes import routes
from tests.support.rows import new_run

NAMES = [
    "../../etc/passwd",
    "..\\..\\boot.ini",
    "%2e%2e%2fetc",
    "%252e%252e%252fetc",
    "/etc/passwd",
    "file:///etc/passwd",
    ";rm -rf /",
    "CON",
    "a" * 1024,
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "%{customdata}",
    "' OR 1=1 --",
    '"; DROP TABLE runs; --',
    "a\r\nSet-Cookie: x=1",
    "\x1b[31mred",
    "\u2028\u202e",
    "%_\\",
]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'htga.db'}"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name_wherever_it_comes(api: httpx2.Client, name: str, tmp_path: Path) -> None:
    run = new_run(name=name, project=name, group=name, tags=[name], notes=name, config={name: name})
    made = api.post("/runs", json=run)
    assert made.status_code == 201
    rows = {"rows": [{"step": 1, "layer": name, "alpha_hat": 1.5, "metrics": {name: 2.0}}]}
    assert api.post(f"/runs/{run['id']}/rows", json=rows).json()["accepted"] == 1
    found = api.get(f"/runs/{run['id']}").json()
    assert [found[key] for key in ("name", "project", "group", "notes")] == [name] * 4
    params = {"keys": f"alpha_hat,{quote(name, safe='')}", "layer": name}
    series = api.get(f"/runs/{run['id']}/series", params=params).json()
    assert series["keys"][name]["last"] == [2.0]
    assert series["keys"]["alpha_hat"]["last"] == [1.5]
    search = " ".join(f'name:"{part}"' for part in name.split('"'))
    for key, value in (("project", name), ("group", name), ("tag", name), ("q", search)):
        listed = api.get("/runs", params={key: value}).json()["items"]
        assert [one["id"] for one in listed] == [run["id"]], key
    assert api.get("/runs", params={"q": "%"}).json()["items"] == (listed if "%" in name else [])
    api.post(f"/runs/{run['id']}/finish", json={})
    assert api.post(f"/runs/{run['id']}/archive").is_success
    written = {path.name for path in (tmp_path / "data").rglob("*")}
    files = {
        name for name in written if re.fullmatch(r"(metrics|steps)-1-[0-9a-f]+\.parquet", name)
    }
    assert len(files) == 2
    assert written - files == {"archive", run["id"], "manifest.json"}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_id_that_is_none_finds_nothing_on_any_route(api: httpx2.Client, name: str) -> None:
    for encoded in (quote(name, safe=""), quote(quote(name, safe=""), safe="")):
        for method, rest in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/archive"),
            ("GET", "/series?keys=alpha_hat"),
            ("GET", "/tail"),
        ):
            answer = api.request(method, f"/runs/{encoded}{rest}")
            assert answer.status_code in {404, 405, 422}, (method, encoded, rest)
            assert "Traceback" not in answer.text


def test_a_nul_never_reaches_the_database(api: httpx2.Client) -> None:
    for key in ("name", "project", "group", "notes"):
        made = api.post("/runs", json=new_run(**{key: "a\0b"}))
        assert (made.status_code, made.json()[key]) == (201, "a\ufffdb"), key
        refused = api.patch(f"/runs/{made.json()['id']}", json={key: "a\0b"})
        assert refused.status_code == 422, key
    assert api.post("/runs", json=new_run(tags=["a\0"])).json()["tags"] == ["a\ufffd"]
    for key in ("project", "group", "q", "tag", "cursor"):
        assert api.get("/runs", params={key: "a\0b"}).status_code in {200, 422}, key


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"rows":' + b"[" * 100_000,
        b'{"rows": [{"step": ' + b"9" * 5000 + b"}]}",
        b'{"rows": [{"step": 18446744073709551616}]}',
        b'{"rows": [{"step": 1, "k": 9223372036854775808}]}',
        b'{"rows": [{"step": 1, "rank": 2147483648}]}',
        b'{"rows": [{"step": 1, "alpha_hat": 1e999}]}',
        b'{"rows": [{"step": 1, "layer": "\\ud800"}]}',
        b'{"rows": [{"step": 1, "metrics": {"\\u0000": 1}}]}',
        b'{"rows": [{"step": true, "metrics": []}]}',
        b"\xff\xfe",
        b"null",
        b"",
    ],
)
def test_a_strange_body_is_answered_with_a_reason_and_no_error_of_ours(
    api: httpx2.Client, body: bytes
) -> None:
    run_id = api.post("/runs", json=new_run()).json()["id"]
    for path in (f"/runs/{run_id}/rows", "/runs", "/query", f"/runs/{run_id}/finish"):
        answer = api.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code in {200, 400, 422}, (path, answer.text)
        if not answer.is_success:
            assert answer.json()["detail"]


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=JSON, text=st.text(max_size=30))
def test_any_config_is_kept_or_refused_in_words(api: httpx2.Client, config: Any, text: str) -> None:
    run = new_run(config=config, notes=text, tags=[text], environment={text: config})
    body = json.dumps(run).encode()
    answer = api.post("/runs", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {201, 422}, answer.text
    if answer.status_code == 201:
        kept = api.get(f"/runs/{run['id']}")
        assert kept.status_code == 200
        assert kept.json()["notes"] == clean_text(text)


LEAKS = ("Traceback", "site-packages", "sqlite3.", "psycopg", "INSERT INTO", "UPDATE ", ", line ")


@pytest.mark.slow
def test_no_answer_holds_a_path_a_statement_or_a_trace_of_the_code(
    api: httpx2.Client, collector: Server, tmp_path: Path
) -> None:
    home = str(Path(htga_server.__file__).parents[2])
    bodies = (b"", b"{", b"[]", b"{}", b'{"rows": 7}', b"\xff", b'{"sql": "SELECT"}')
    seen: set[int] = set()
    for route in routes(collector._app):
        if not isinstance(route, APIRoute):
            continue
        path = re.sub(r"\{[a-z_]+(:path)?\}", "none", route.path)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            for body in bodies:
                for kind in ("application/json", ARROW_STREAM):
                    if path == "/live":
                        continue
                    headers = {"content-type": kind}
                    answer = api.request(method, path, content=body, headers=headers)
                    seen.add(answer.status_code)
                    for leak in (*LEAKS, home, str(tmp_path)):
                        assert leak not in answer.text, (method, path, body)
    assert {400, 404, 405, 422} <= seen
    assert not any(status >= 500 for status in seen)


def test_an_error_of_ours_says_nothing_about_us(
    api: httpx2.Client, collector: Server, caplog: pytest.LogCaptureFixture
) -> None:
    database = collector._app.state.database

    async def broken(work: Any) -> Any:  # noqa: ARG001
        raise RuntimeError("/secret/path SELECT password")

    database.read = broken
    with caplog.at_level(logging.CRITICAL):
        answer = api.get("/runs")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "SELECT" not in answer.text
