"""Who is let in: every route, with every kind of missing or wrong credential."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from htga.cli.up import open_server
from htga_client.wire import PREFIX
from htga_server.access import tokens
from htga_server.access.middleware import PUBLIC_PATHS
from htga_server.access.origin import host_name
from htga_server.access.rate_limits import Failures, TokenBucket
from htga_server.api.permissions import RequireScope
from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.migrate import migrate
from htga_server.settings import Settings
from htga_server.storage.database import Database
from tests.support.routes import routes
from tests.support.rows import new_run, stream

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
Mint = Callable[..., str]
UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
RULE = {"project": "mine", "name": "n", "kind": "below", "key": "alpha_bar", "threshold": 1.0}


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Who may do what does not depend on the database."""
    return f"sqlite:///{tmp_path / 'htga.db'}"


def addresses(app: FastAPI, run_id: str) -> list[str]:
    """A path for every route, with `run_id` where a run is named."""
    found = {
        f"/{route.path.removeprefix('/')}".replace("{run_id}", run_id)
        .replace("{path:path}", "any/where")
        .replace("{rest:path}", "any/where")
        .replace("{package_name}", "dash")
        .replace("{fingerprinted_path:path}", "x.js")
        for route in routes(app)
    }
    prefixed = {PREFIX + path for path in found if path.startswith(("/runs", "/live", "/query"))}
    return sorted(found | prefixed | {PREFIX + "/archive"})


@pytest.fixture
def mint(settings: Settings) -> Iterator[Mint]:
    database = Database(settings.url)
    migrate(database)

    def make(*scopes: str, **other: Any) -> str:
        known: dict[str, Any] = {"name": "test", "scopes": scopes} | other
        return database.write_now(lambda connection: tokens.create(connection, **known))

    make.database = database  # type: ignore[attr-defined]
    yield make
    database.close()


@pytest.fixture
def guarded(settings: Settings, mint: Mint) -> Iterator[Server]:
    """Collector and dashboard on one port, which ask for tokens."""
    mint("admin")
    server = open_server(
        host="127.0.0.1",
        port=0,
        database=settings.url,
        data=settings.data,
        require_tokens=True,
    )
    with server.background():
        yield server


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def wrong_tokens(mint: Mint) -> dict[str, dict[str, str]]:
    good, revoked = mint("read"), mint("read", "ingest", "admin")
    database: Database = mint.database  # type: ignore[attr-defined]
    database.write_now(lambda connection: tokens.revoke(connection, revoked.split("_")[1]))
    swapped = good[:-9] + ("0" if good[-10] != "0" else "1") + good[-9:]
    return {
        "none": {},
        "empty": {"authorization": ""},
        "no token": {"authorization": "Bearer"},
        "junk": bearer("x"),
        "long": bearer("htga_" + "a" * 5000),
        "default": {"authorization": "Basic YWRtaW46YWRtaW4="},
        "bad checksum": bearer(good[:-1] + ("0" if good[-1] != "0" else "1")),
        "bad secret": bearer(swapped),
        "unknown id": bearer("htga_000000000000_" + "0" * 64 + "_00000000"),
        "expired": bearer(mint("read", "admin", expires=time.time() - 1)),
        "revoked": bearer(revoked),
        "as cookie": {"cookie": "htga_token=x"},
        "in the url": {},
        "sql": bearer("htga_' OR 1=1 --_x_y"),
        "user agent": {"user-agent": "Mozilla/5.0", "x-http-method-override": "GET"},
    }


@pytest.mark.slow
def test_no_route_and_no_method_answers_without_a_valid_token(guarded: Server, mint: Mint) -> None:
    with httpx2.Client(base_url=guarded.url) as client:
        for kind, headers in wrong_tokens(mint).items():
            for path in addresses(guarded._app, str(uuid.uuid4())):
                if path in PUBLIC_PATHS:
                    continue
                methods = METHODS if kind == "none" else ("GET", "POST")
                for method in methods:
                    where = path + ("?token=x&access_token=x" if kind == "in the url" else "")
                    answer = client.request(method, where, headers=headers)
                    assert answer.status_code in {401, 429}, (kind, method, path, answer.text)
                    assert "htga_" not in answer.text.replace("htga_...", "")
        assert client.get("/healthz").json() == {"status": "ok"}


def test_every_route_of_the_api_says_what_it_needs(settings: Settings) -> None:
    found = 0
    for route in routes(create_app(settings)):
        if not isinstance(route, APIRoute) or route.path in {*PUBLIC_PATHS, "/api/{rest:path}"}:
            continue
        needs = [d.dependency for d in route.dependencies if isinstance(d.dependency, RequireScope)]
        assert len(needs) == 1, f"{route.path} has no policy"
        found += 1
    assert found >= 14


def test_a_websocket_is_refused_before_it_opens(guarded: Server) -> None:
    for path in ["/_dash-ws-callback", "/any", *addresses(guarded._app, str(uuid.uuid4()))]:
        assert httpx2.get(guarded.url + path, headers=UPGRADE).status_code == 403


def test_a_token_does_what_its_scopes_say_and_no_more(guarded: Server, mint: Mint) -> None:
    run = new_run()
    where = f"/runs/{run['id']}"
    rows = {"rows": [{"step": 1, "alpha_hat": 1.0}]}
    does: dict[str, list[tuple[str, str, Any]]] = {
        "ingest": [
            ("POST", "/runs", run),
            ("POST", f"{where}/rows", rows),
            ("POST", f"{where}/finish", {}),
            ("PATCH", where, {"notes": "n"}),
            ("POST", f"{where}/heartbeat", None),
        ],
        "read": [
            ("GET", "/runs", None),
            ("GET", where, None),
            ("GET", f"{where}/gaps", None),
            ("GET", f"{where}/series?keys=alpha_hat", None),
            ("GET", f"{where}/histograms", None),
            ("GET", "/alerts", None),
            ("GET", "/archive", None),
            ("GET", "/status", None),
            ("GET", "/rules", None),
            ("GET", "/groups/series?project=digits&keys=alpha_hat", None),
            ("POST", "/rules/try", {"rule": RULE}),
            ("GET", f"{where}/layers/map", None),
            ("POST", "/query", {"sql": "SELECT 1"}),
        ],
        "admin": [
            ("POST", f"{where}/archive", None),
            ("DELETE", where, None),
            ("POST", f"{where}/restore", None),
            ("GET", "/tokens", None),
            ("POST", "/rules", RULE),
        ],
    }
    with httpx2.Client(base_url=guarded.url + PREFIX) as client:
        for scope, requests in does.items():
            own = bearer(mint(scope))
            others = bearer(mint(*(set(does) - {scope})))
            for method, path, body in requests:
                refused = client.request(method, path, json=body, headers=others)
                assert (refused.status_code, refused.json()["type"]) == (403, "forbidden"), path
                assert client.request(method, path, json=body, headers=own).is_success, path


def test_a_project_that_nobody_gave_is_the_tokens_and_one_of_another_project_stays_unseen(
    guarded: Server, mint: Mint
) -> None:
    mine, anothers = new_run(project="mine"), new_run(project="secret")
    url, folders = guarded.url + PREFIX + "/runs", {"project": "folder", "defaults": ["project"]}
    httpx2.post(url, json=anothers, headers=bearer(mint("ingest", project="secret")))
    token = bearer(mint("ingest", project="mine"))
    for _ in range(2):
        stored = httpx2.post(url, json=mine | folders, headers=token).json()
        assert stored["project"] == "mine"
        assert stored["changes"] == ["its project is 'mine', the only one of its token"]
    for run in (anothers | folders, anothers | {"project": "mine"}):
        assert httpx2.post(url, json=run, headers=token).status_code == 409
    assert httpx2.post(url, json=mine | {"project": "x"}, headers=token).status_code == 403


def test_a_run_of_another_project_is_like_one_that_does_not_exist(
    guarded: Server, mint: Mint
) -> None:
    everything = bearer(mint("read", "ingest", "admin"))
    mine = bearer(mint("read", "ingest", "admin", project="mine"))
    with httpx2.Client(base_url=guarded.url + PREFIX) as client:
        foreign, own = new_run(project="theirs"), new_run(project="mine")
        for run in (foreign, own):
            client.post("/runs", json=run, headers=everything)
        client.post(
            f"/runs/{foreign['id']}/rows",
            json={"rows": [{"step": 1, "alpha_hat": 1.0}]},
            headers=everything,
        )
        unknown = str(uuid.uuid4())
        for route in routes(guarded._app):
            if "{run_id}" not in route.path or not isinstance(route, APIRoute):
                continue
            for method in route.methods or ():
                said = []
                for run_id in (foreign["id"], unknown):
                    path = route.path.replace("{run_id}", run_id) + "?keys=alpha_hat"
                    body = {"rows": [{"step": 1}]} if path.count("/rows") else {}
                    answer = client.request(method, path, headers=mine, json=body)
                    said.append((answer.status_code, answer.text.replace(run_id, "")))
                assert said[0] == said[1], route.path
                assert said[0][0] == 404, route.path
        assert client.post("/runs", json=foreign, headers=mine).status_code == 403
        listed = client.get("/runs", headers=mine).json()["items"]
        assert [run["id"] for run in listed] == [own["id"]]
        assert client.get("/runs?project=theirs", headers=mine).status_code == 403
        both = f"{foreign['id']},{own['id']}"
        for path in (f"/runs?ids={both}", f"/groups/series?keys=alpha_hat&runs={both}"):
            answer = client.get(path, headers=mine)
            assert len(answer.json()["items"]) == 1
            assert own["id"] in answer.text
            assert foreign["id"] not in answer.text
        theirs = "/groups/series?keys=alpha_hat&project=theirs"
        assert client.get(theirs, headers=mine).status_code == 403
        count = {"sql": "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM steps)"}
        assert client.post("/query", json=count, headers=mine).json()["rows"] == [[1, 0]]
        for literal in (":id", "{run_id}", "0", "null", "..", "%2e%2e"):
            assert client.get(f"/runs/{literal}", headers=mine).status_code in {404, 422}
        with client.stream("GET", "/live", headers=mine) as live:
            lines = live.iter_lines()
            assert next(lines) == ": open"
            for run in (foreign, own):
                client.post(f"/runs/{run['id']}/finish", json={}, headers=everything)
            told = next(line for line in lines if line.startswith("data:"))
            assert own["id"] in told


def test_no_method_on_any_route_is_an_error_of_ours(settings: Settings) -> None:
    server = open_server(host="127.0.0.1", port=0, database=settings.url, data=settings.data)
    with server.background(), httpx2.Client(base_url=server.url) as client:
        for path in addresses(server._app, str(uuid.uuid4())):
            if path.endswith("/live") or path.startswith("/_dash-"):
                continue  # it has no end; and Dash's own say 500 to what they do not know
            for method in (*METHODS, "PROPFIND", "LOCK", "PURGE"):
                answer = client.request(method, path)
                assert answer.status_code < 500, (method, path, answer.text)
        for path, status in (("/", 200), ("/nothing", 404)):
            said = [client.request(method, path).status_code for method in ("HEAD", "GET")]
            assert said == [status] * 2


@pytest.mark.parametrize("agent", ["Mozilla/5.0", "htga", ""])
def test_neither_the_client_s_name_nor_a_method_that_it_would_rather_have_decides_anything(
    guarded: Server, mint: Mint, agent: str
) -> None:
    run = new_run()
    httpx2.post(guarded.url + PREFIX + "/runs", json=run, headers=bearer(mint("ingest")))
    where = f"{guarded.url}{PREFIX}/runs/{run['id']}"
    own = bearer(mint("read")) | {"user-agent": agent}
    everything = bearer(mint("read", "ingest", "admin"))
    for name in ("x-http-method-override", "x-http-method", "x-method-override"):
        for token in (own, everything):
            assert httpx2.get(where, headers=token | {name: "DELETE"}).json()["id"] == run["id"]
            told = httpx2.post(f"{where}?_method=DELETE", headers=token | {name: "DELETE"})
            assert told.status_code == 405
    for method in ("DELETE", "PATCH", "PUT", "TRACE", "CONNECT", "PROPFIND"):
        said = httpx2.request(method, where, headers=own, json={"notes": "x"})
        assert said.status_code in {400, 403, 405}, method
    assert httpx2.get(where, headers=own).json()["notes"] == ""


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "10.evil.example",
        "localhost:80@evil",
        "localhost.",
        "local host",
        "[::1",
        "",
    ],
)
def test_another_host_is_refused_whatever_the_route(collector: Server, host: str) -> None:
    with httpx2.Client(base_url=collector.url, headers={"host": host}) as client:
        for path in [*addresses(collector._app, str(uuid.uuid4())), "/nowhere"]:
            answer = client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (400, "unknown-host"), path
            assert client.get(path, headers=UPGRADE).status_code == 403, path


def test_two_hosts_are_refused(collector: Server) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as plain:
        plain.sendall(request)
        assert plain.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("host", "name"),
    [("LocalHost:80", "localhost"), ("[::1]:80", "::1"), ("a_b-c.d", "a_b-c.d"), ("a:b", None)],
)
def test_a_host_is_read_as_a_name_and_a_port(host: str, name: str | None) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize("cookie", [{}, {"cookie": "htga_token=x"}])
def test_pages_of_another_origin_can_neither_read_nor_write(
    collector: Server, cookie: dict[str, str]
) -> None:
    port = collector.port
    foreign = [
        "null",
        "http://evil.example",
        f"http://127.0.0.1.evil.example:{port}",
        f"http://evil127.0.0.1:{port}",
        f"https://127.0.0.1:{port}",
        "http://127.0.0.1:1",
        f"http://localhost:{port}",
    ]
    where = addresses(collector._app, str(uuid.uuid4()))
    with httpx2.Client(base_url=collector.url, headers=cookie) as client:
        for origin in foreign:
            for path in where:
                for method in ("GET", "POST", "OPTIONS"):
                    answer = client.request(method, path, headers={"origin": origin})
                    said = (answer.status_code, answer.json()["type"])
                    assert said == (403, "foreign-origin"), (origin, method, path)
                    assert "access-control-allow-origin" not in answer.headers
                    assert "Origin" in answer.headers["vary"]
                upgrade = UPGRADE | {"origin": origin}
                assert client.get(path, headers=upgrade).status_code == 403, (origin, path)
    own = httpx2.get(collector.url + PREFIX + "/runs", headers={"origin": collector.url})
    assert (own.status_code, "Origin" in own.headers["vary"]) == (200, True)


def test_a_form_or_plain_text_cannot_change_anything(collector: Server) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = httpx2.post(
            collector.url + PREFIX + "/runs", content=b"{}", headers={"content-type": kind}
        )
        assert answer.status_code == 415
    sly = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    answer = httpx2.post(collector.url + PREFIX + "/runs", json=new_run(), headers=sly)
    assert answer.status_code == 403


def test_every_answer_forbids_sniffing_and_framing(collector: Server) -> None:
    for path in ("/healthz", f"{PREFIX}/runs", f"{PREFIX}/runs/x", "/nowhere", "/openapi.json"):
        headers = httpx2.get(collector.url + path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/runs", "/query", "/runs/x/finish"])
def test_a_body_beyond_the_limit_is_refused_on_every_route(settings: Settings, path: str) -> None:
    small = settings.model_copy(update={"body_limit": 1000})
    with Server(create_app(small)).background() as server:
        body = b'{"a": "' + b"x" * 5000 + b'"}'
        headers = {"content-type": "application/json"}
        answer = httpx2.post(server.url + PREFIX + path, content=body, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (413, "too-large")


def test_wrong_tokens_are_counted_and_right_ones_still_work(guarded: Server, mint: Mint) -> None:
    with httpx2.Client(base_url=guarded.url + PREFIX) as client:
        statuses = [client.get("/runs", headers=bearer("x")).status_code for _ in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        assert client.get("/runs", headers=bearer("x")).headers["retry-after"] == "60"
        assert client.get("/runs", headers=bearer(mint("read"))).status_code == 200


def test_a_token_that_asks_too_fast_is_put_off_and_no_other_is(
    settings: Settings, mint: Mint
) -> None:
    slow = {"requests_per_second": 0.001, "request_burst": 3.0, "require_tokens": True}
    mine, other = mint("read"), mint("read")
    with (
        Server(create_app(settings.model_copy(update=slow))).background() as server,
        httpx2.Client(base_url=server.url + PREFIX) as client,
    ):
        said = [client.get("/runs", headers=bearer(mine)) for _ in range(5)]
        assert [answer.status_code for answer in said] == [200] * 3 + [429] * 2
        assert said[-1].json()["type"] == "too-fast"
        assert 1 <= int(said[-1].headers["retry-after"]) <= 30
        assert client.get("/runs", headers=bearer(other)).status_code == 200


def test_a_token_that_sends_too_much_is_put_off(settings: Settings, mint: Mint) -> None:
    slow = {"bytes_per_second": 1.0, "body_limit": 1000, "require_tokens": True}
    token = bearer(mint("read"))
    with (
        Server(create_app(settings.model_copy(update=slow))).background() as server,
        httpx2.Client(base_url=server.url + PREFIX) as client,
    ):
        sql = {"sql": "SELECT 1" + " " * 600}
        said = [client.post("/query", json=sql, headers=token) for _ in range(3)]
        assert [answer.status_code for answer in said] == [200, 200, 429]


def test_a_token_has_so_many_requests_under_way_and_a_stream_is_none(
    settings: Settings, mint: Mint
) -> None:
    token = bearer(mint("read", "ingest"))
    few = settings.model_copy(update={"in_flight": 1, "require_tokens": True})
    began = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"["
        began.set()
        assert over.wait(30)
        yield b"]"

    over = threading.Event()
    with (
        Server(create_app(few)).background() as server,
        httpx2.Client(base_url=server.url + PREFIX, headers=token) as client,
        httpx2.Client(base_url=server.url + PREFIX, headers=token) as other,
        client.stream("GET", "/live") as live,
        ThreadPoolExecutor(1) as pool,
    ):
        lines = live.iter_lines()
        assert next(lines) == ": open"
        headers = {"content-type": "application/json"}
        under_way = pool.submit(other.post, "/runs/x/rows", content=body(), headers=headers)
        assert began.wait(30)
        until = time.monotonic() + 30
        while (put_off := client.get("/runs")).status_code == 200:  # until its head has arrived
            assert time.monotonic() < until
        over.set()
        assert (put_off.status_code, put_off.json()["type"]) == (429, "too-fast")
        assert under_way.result().status_code == 422
        assert client.get("/runs").status_code == 200


def test_on_this_machine_without_tokens_nobody_is_put_off(settings: Settings) -> None:
    slow = {"requests_per_second": 0.001, "request_burst": 1.0}
    with Server(create_app(settings.model_copy(update=slow))).background() as server:
        said = [httpx2.get(server.url + PREFIX + "/runs").status_code for _ in range(5)]
    assert said == [200] * 5


def test_a_bucket_fills_at_its_rate_up_to_its_burst() -> None:
    bucket = TokenBucket(2.0, 10.0)
    bucket.take(10.0)
    assert (bucket.wait(0.0), bucket.wait(0.0, 1.0)) == (0.0, 0.5)
    bucket.take(4.0)
    assert (bucket.wait(1.0), bucket.wait(2.0)) == (1.0, 0.0)
    assert (bucket.wait(1000.0, 10.0), bucket.wait(1000.0, 12.0)) == (0.0, 1.0)


def test_failures_are_forgotten_after_a_minute() -> None:
    now = 0.0
    failures = Failures(lambda: now)
    assert not any(failures.too_many("a") for _ in range(10))
    assert failures.too_many("a")
    assert not failures.too_many("b")
    now = 60.0
    assert not failures.too_many("a")


def test_a_revoked_token_stops_working_within_seconds(guarded: Server, mint: Mint) -> None:
    token = mint("read")
    with httpx2.Client(base_url=guarded.url + PREFIX) as client:
        assert client.get("/runs", headers=bearer(token)).status_code == 200
        database: Database = mint.database  # type: ignore[attr-defined]
        database.write_now(lambda connection: tokens.revoke(connection, token.split("_")[1]))
        deadline = time.monotonic() + tokens.FRESH_SECONDS + 5
        while client.get("/runs", headers=bearer(token)).status_code == 200:
            assert time.monotonic() < deadline


def test_rules_of_another_project_can_be_neither_seen_nor_changed(
    guarded: Server, mint: Mint
) -> None:
    everything = bearer(mint("read", "admin"))
    mine = bearer(mint("read", "admin", project="mine"))
    theirs = RULE | {"project": "theirs"}
    with httpx2.Client(base_url=guarded.url + PREFIX) as client:
        foreign = client.post("/rules", json=theirs, headers=everything).json()["id"]
        own = client.post("/rules", json=RULE, headers=mine).json()["id"]
        assert [rule["id"] for rule in client.get("/rules", headers=mine).json()["items"]] == [own]
        said = [
            client.get("/rules?project=theirs", headers=mine),
            client.post("/rules", json=theirs, headers=mine),
            client.post("/rules/try", json={"rule": theirs}, headers=mine),
            client.put(f"/rules/{own}", json=theirs, headers=mine),
        ]
        assert [answer.status_code for answer in said] == [403] * 4
        said = [
            client.put(f"/rules/{foreign}", json=RULE, headers=mine),
            client.delete(f"/rules/{foreign}", headers=mine),
        ]
        assert [answer.status_code for answer in said] == [404] * 2
        assert client.delete(f"/rules/{foreign}", headers=everything).status_code == 204


def test_tokens_are_listed_without_a_secret_and_to_a_project_its_own_only(
    guarded: Server, mint: Mint
) -> None:
    everything = mint("admin")
    mine, theirs = mint("admin", project="mine", name="m"), mint("read", project="theirs")
    with httpx2.Client(base_url=guarded.url + PREFIX) as client:
        listed = client.get("/tokens", headers=bearer(everything))
        assert {token["project"] for token in listed.json()["items"]} == {None, "mine", "theirs"}
        for token in (everything, mine, theirs):
            assert token.split("_")[1] in listed.text
            assert token.split("_")[2] not in listed.text
        (own,) = client.get("/tokens", headers=bearer(mine)).json()["items"]
        assert (own["id"], own["name"], own["scopes"]) == (mine.split("_")[1], "m", ["admin"])


def test_the_database_holds_no_secret(mint: Mint, settings: Settings) -> None:
    token = mint("read", project="p")
    database: Database = mint.database  # type: ignore[attr-defined]
    database.close()
    secret = token.split("_")[2]
    for path in settings.data.parent.glob("htga.db*"):
        data = path.read_bytes()
        assert secret.encode() not in data
        assert bytes.fromhex(secret) not in data


def test_a_person_opens_the_dashboard_with_a_token_that_becomes_a_cookie(
    guarded: Server, mint: Mint
) -> None:
    token = mint("read")
    run = new_run(name="shown-to-me")
    httpx2.post(guarded.url + PREFIX + "/runs", json=run, headers=bearer(mint("ingest")))
    with httpx2.Client(base_url=guarded.url, follow_redirects=False) as browser:
        page = browser.get("/", headers={"accept": "text/html"})
        assert (page.status_code, "<form" in page.text) == (401, True)
        wrong = browser.post("/login", data={"token": "wrong"})
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
        entered = browser.post("/login", data={"token": token})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert browser.get("/").status_code == 200
        update = {
            "output": "page.children",
            "outputs": {"id": "page", "property": "children"},
            "inputs": [{"id": "url", "property": "pathname", "value": "/"}],
            "state": [
                {"id": "url", "property": "href", "value": guarded.url + "/"},
                {"id": "theme", "property": "data", "value": "light"},
            ],
            "changedPropIds": ["url.pathname"],
        }
        shown = browser.post("/_dash-update-component", json=update)
        assert (shown.status_code, "shown-to-me" in shown.text) == (200, True), shown.text[:500]
        others = bearer(mint("read", project="other"))
        hidden = httpx2.post(guarded.url + "/_dash-update-component", json=update, headers=others)
        assert (hidden.status_code, "shown-to-me" in hidden.text) == (200, False)


def test_a_stream_of_rows_needs_its_token_too(guarded: Server, mint: Mint) -> None:
    run = new_run()
    headers = bearer(mint("ingest")) | {"content-type": "application/vnd.apache.arrow.stream"}
    with httpx2.Client(base_url=guarded.url + PREFIX) as client:
        client.post("/runs", json=run, headers=bearer(mint("ingest")))
        body = stream([{"step": 1, "alpha_hat": 1.0}])
        sent = client.post(f"/runs/{run['id']}/rows", content=body, headers=headers)
    assert sent.json()["accepted"] == 1
