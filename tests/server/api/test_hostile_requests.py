"""No request of a stranger is an error of ours: no answer of 5xx, no traceback in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from htga.cli.up import open_server
from htga_client.wire import ARROW_STREAM, FIRST_SEQ, GAPS, PREFIX, ROWS, WRITER
from htga_server.access import tokens
from htga_server.access.middleware import PUBLIC_PATHS
from htga_server.app import create_app
from htga_server.http.proxy_headers import ProxyHeaders
from htga_server.migrate import migrate
from htga_server.settings import Settings
from htga_server.storage.database import Database
from tests.conftest import KINDS, new_database
from tests.support.in_process import call, serving
from tests.support.rows import ipc, new_run, probe_rows

# fmt: off
HEADERS = [
    b"authorization", b"cookie", b"host", b"origin", b"referer", b"accept", b"accept-encoding",
    b"content-type", b"content-encoding", b"content-length", b"if-none-match", b"last-event-id",
    b"range", b"sec-fetch-site", b"x-forwarded-for", b"x-forwarded-prefix", b"x-forwarded-proto",
    b"x-request-id", b"traceparent", b"expect", b"upgrade", b"transfer-encoding",
]
VALUES = [
    b"Bearer x", b"Bearer ", b"bearer _", b"Bearer htga_x", b"Bearer htga_\xff_\xff", b"Basic x",
    b"Bearer " + b"_" * 500, b"htga_token=x", b'htga_token=htga_a_b_c; htga_token="\\012\\377"',
    b"htga_token=\xe9", b"=;=;", b"\x00", b"\xff\xfe", b"", b"-1", b"9" * 400, b"null", b"a\tb",
    b"bytes=9-1", b"*/*;q=x", b"gzip;q=nan", b"text/html", b"[::1", b"a:b:c", b"/../..", b"//evil",
]
# fmt: on
HOSTILE = [
    "\ud800",
    "a\udfffb",
    "\0",
    "x" * 100_000,
    "",
    "\u202e\x1b[31m",
    2**63,
    -(2**63) - 1,
    10**400,
    float("nan"),
    float("inf"),
    1e308,
    -1,
    True,
    None,
    [],
    {},
    [[[]]],
    {"\ud800": "\ud800"},
    {"\0": {"": [None]}},
    ["\ud800"],
    ["\0"],
]
LISTS = ("/runs?count=true&limit=1000", "/runs/{}", "/runs/{}/events", "/rules", "/archive")
RULE = {
    "project": "digits",
    "name": "low",
    "kind": "below",
    "key": "alpha_bar",
    "threshold": 1.0,
    "steps": 3,
    "level": "warning",
    "webhook": "https://hooks.example/x",
    "enabled": True,
}


@pytest.fixture(scope="module", params=KINDS)
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A collector without tokens that has started, with one run."""
    folder = tmp_path_factory.mktemp("hostile")
    made = create_app(Settings(database_url=new_database(request, folder), data=folder / "data"))
    with serving(made) as transport:
        made.state.client = httpx2.Client(base_url=f"http://127.0.0.1{PREFIX}", transport=transport)
        yield made


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing may be logged as an error."""
    with caplog.at_level(logging.ERROR):
        yield
    assert [record.getMessage() for record in caplog.records] == []


@pytest.fixture
def api(app: Any, quiet: None) -> httpx2.Client:  # noqa: ARG001
    """A client of it; the test fails if anything is logged as an error."""
    client: httpx2.Client = app.state.client
    return client


def bodies(run_id: str) -> list[tuple[str, str, Any]]:
    """Method, path and a valid body of each route that takes JSON."""
    row = {"step": 1, "layer": "fc", "alpha_hat": 1.5, "rank": 0, "metrics": {"loss": 1.0}}
    labels = {"name": "n", "group": "g", "tags": ["t"], "notes": "n"}
    settings = {"config": {"lr": 0.1, "a": {"b": [1]}}, "environment": {"python": "3"}}
    return [
        ("POST", "/runs", new_run(**labels, **settings, resume="allow")),
        ("PATCH", f"/runs/{run_id}", labels),
        ("POST", f"/runs/{run_id}/rows", {"rows": [row]}),
        ("POST", f"/runs/{run_id}/finish", {"state": "finished"}),
        ("POST", "/rules", RULE),
        ("POST", "/rules/try", {"rule": RULE, "runs": [run_id], "cursor": "x"}),
        ("POST", "/query", {"sql": "SELECT 1", "limit": 10}),
    ]


def spoiled(body: Any) -> Iterator[Any]:
    """The body with each of its values in turn replaced by each hostile one."""

    def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        yield at
        items: Any = enumerate(value) if isinstance(value, list) else ()
        if isinstance(value, dict):
            items = value.items()
        for key, inner in items:
            yield from paths(inner, (*at, key))

    for path in paths(body):
        for hostile in HOSTILE:
            whole = {"": deepcopy(body)}
            inner: Any = whole
            for key in ("", *path)[:-1]:
                inner = inner[key]
            inner[("", *path)[-1]] = hostile
            yield whole[""]


@pytest.mark.parametrize("which", range(7))
def test_no_value_in_a_body_is_an_error_of_ours(api: httpx2.Client, which: int) -> None:
    run_id = api.post("/runs", json=new_run()).json()["id"]
    method, path, body = bodies(run_id)[which]
    headers = {"content-type": "application/json"}
    for one in spoiled(body):
        content = json.dumps(one).encode()
        said = api.request(method, path, content=content, headers=headers)
        assert said.status_code < 500, (path, content[:300], said.text)
        assert "DETAIL" not in said.text, (path, content[:300])
    for listed in LISTS:
        assert api.get(listed.format(run_id)).status_code == 200, listed
    assert api.post("/query", json={"sql": "SELECT * FROM runs"}).status_code == 200


@pytest.fixture(scope="module", params=["a token is needed", "no token is needed"])
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A collector and its dashboard, as a server sees them."""
    folder = tmp_path_factory.mktemp("guarded")
    database = Database(f"sqlite:///{folder / 'htga.db'}")
    migrate(database)
    database.write_now(lambda connection: tokens.create(connection, name="t", scopes=("read",)))
    database.close()
    address = {"database": f"sqlite:///{folder / 'htga.db'}", "data": folder}
    needed = request.param == "a token is needed"
    server = open_server(host="127.0.0.1", port=0, require_tokens=needed, **address)  # type: ignore[arg-type]
    with serving(server._app):
        yield ProxyHeaders(server._app, trusted=["*"])
    server._socket.close()


async def answer(app: Any, *, body: bytes = b"token=x&next=//evil", **scope: Any) -> int:
    """The status of a request that is made of these raw parts."""
    statuses: list[int] = []
    defaults = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET"}
    rest = {
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app({**defaults, **rest, **scope}, receive, send)
    return statuses[0]


PATHS = ["/", "/run/x", "/login", "/logout", "/healthz", "/metrics", "/assets/base.css", "/_layout"]
values = st.sampled_from(VALUES) | st.binary(max_size=40)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    headers=st.lists(st.tuples(st.sampled_from(HEADERS), values), max_size=6),
    path=st.sampled_from(PATHS) | st.text(max_size=20).map(lambda text: f"/{text}"),
    query=st.binary(max_size=40),
    method=st.sampled_from(["GET", "HEAD", "POST", "X\xff"]),
)
def test_no_header_cookie_path_or_query_is_an_error_of_ours(
    guarded: Any,
    quiet: None,  # noqa: ARG001
    headers: list[tuple[bytes, bytes]],
    path: str,
    query: bytes,
    method: str,
) -> None:
    scope: dict[str, Any] = {
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query,
        "headers": [(b"host", b"127.0.0.1"), *headers],
    }
    assert call(lambda: answer(guarded, **scope)) < 500


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/login"),
        ("POST", "/login"),
        ("POST", "/logout"),
        ("GET", "/assets/base.css"),
        ("GET", "/api/v1/runs"),
        ("GET", "/_layout"),
        ("GET", "/"),
    ],
)
@pytest.mark.parametrize("name", [b"authorization", b"cookie"])
def test_no_token_is_an_error_of_ours_where_none_is_needed_either(
    guarded: Any,
    quiet: None,  # noqa: ARG001
    method: str,
    path: str,
    name: bytes,
) -> None:
    for value in VALUES:
        headers = [(b"host", b"127.0.0.1"), (name, value)]
        scope: dict[str, Any] = {
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
        }
        status = call(partial(answer, guarded, headers=headers, **scope))
        assert status in {200, 303, 401, 429}, value
        assert status in {200, 303} or path == "/login" or path not in PUBLIC_PATHS


@pytest.mark.parametrize("name", [b"authorization", b"cookie"])
def test_a_page_reads_for_whoever_opens_it_and_no_token_is_an_error_of_ours(
    guarded: Any,
    quiet: None,  # noqa: ARG001
    name: bytes,
) -> None:
    body = json.dumps(
        {
            "output": "page.children",
            "outputs": {"id": "page", "property": "children"},
            "inputs": [{"id": "url", "property": "pathname", "value": "/"}],
            "state": [
                {"id": "url", "property": "href", "value": "http://127.0.0.1/"},
                {"id": "theme", "property": "data", "value": "light"},
            ],
            "changedPropIds": ["url.pathname"],
        }
    ).encode()
    path = "/_dash-update-component"
    scope = {"method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    for value in VALUES:
        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (name, value)]
        assert call(partial(answer, guarded, body=body, headers=headers, **scope)) in {
            200,
            401,
            429,
        }


@pytest.mark.parametrize(
    ("gaps", "status"),
    [
        (b"[[5, 2]]", 422),
        (b"[" * 200_000, 422),
        (b"[[0, 0]]", 200),
        (b"[[0, 3]]", 200),
        (b"[[0, 4611686018427387904]]", 422),
        (b"[[-1, 3]]", 422),
        (b"[[0, 3, 4]]", 422),
        (b"[[0.5, 3]]", 422),
        (b"[[true, 3]]", 422),
        (b"[[NaN, Infinity]]", 422),
        (b"{}", 422),
        (b"\xff", 422),
        (b"", 422),
        (json.dumps([[i, i + 1] for i in range(10_000)]).encode(), 422),
    ],
)
def test_declared_gaps_are_taken_or_refused_and_no_error_of_ours(
    api: httpx2.Client, gaps: bytes, status: int
) -> None:
    run_id = api.post("/runs", json=new_run()).json()["id"]
    table = pa.Table.from_pylist(probe_rows(range(3)), ROWS).replace_schema_metadata(
        {WRITER: "w", FIRST_SEQ: b"0", GAPS: gaps}
    )
    sent = api.post(
        f"/runs/{run_id}/rows", content=ipc(table), headers={"content-type": ARROW_STREAM}
    )
    assert sent.status_code == status, sent.text
    assert api.get(f"/runs/{run_id}/gaps").status_code == 200


QUERIES = {
    "SELECT list(x) FROM (VALUES ('NaN'::DOUBLE), ('-Infinity'), (1.5)) t(x)": [
        ["NaN", "-Infinity", 1.5]
    ],
    "SELECT {'a': 'NaN'::DOUBLE, 'b': [{'c': 'Infinity'::FLOAT}]}": [
        {"a": "NaN", "b": [{"c": "Infinity"}]}
    ],
    "SELECT ['\\xff'::BLOB, '\\x00'::BLOB]": [["ff", "00"]],
    "SELECT '10000-01-01'::DATE": ["10000-01-01"],
    "SELECT ['infinity'::DATE]": None,
    "SELECT 'infinity'::TIMESTAMP, '-infinity'::TIMESTAMPTZ": None,
    "SELECT '290000-01-01'::TIMESTAMP, '4713-01-01 (BC)'::DATE": None,
    "SELECT '2020-01-01 00:00:00.123456789'::TIMESTAMP_NS": None,
    "SELECT INTERVAL 1000000 YEARS, [INTERVAL 1 DAY]": None,
    "SELECT '24:00:00'::TIME, TIME '12:00:00'": None,
    "SELECT 170141183460469231731687303715884105727::HUGEINT": None,
    "SELECT 1e400::VARCHAR, 0.1::DECIMAL(38, 37)": None,
    "SELECT MAP {1: 'NaN'::DOUBLE}, MAP {[1]: 2}": None,
    "SELECT uuid(), '101'::BIT, 'a'::ENUM('a', 'b')": None,
    "SELECT 1 AS a, 2 AS a": [1, 2],
    "SELECT NULL, [NULL], {'a': NULL}": [None, [None], {"a": None}],
    "SELECT chr(55296)": None,
    "SELECT repeat('[', 100000)": None,
    "SELECT error('\ud800')": None,
    "SELECT 1/0, 0/0, sqrt(-1)": None,
    "SELECT * FROM range(10) WHERE false": None,
}


@pytest.mark.parametrize("sql", QUERIES)
def test_any_value_of_a_query_can_be_read_as_json(api: httpx2.Client, sql: str) -> None:
    content = json.dumps({"sql": sql}).encode()
    found = api.post("/query", content=content, headers={"content-type": "application/json"})
    assert found.status_code in {200, 422}, found.text
    if found.status_code == 200:
        rows = found.json()["rows"]
        assert QUERIES[sql] is None or rows == [QUERIES[sql]]
        assert all(len(row) == len(found.json()["columns"]) for row in rows)
    else:
        assert QUERIES[sql] is None
