"""Requests that are meant to use up a collector: it answers others, and holds no more for them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import httpx2
import psutil
import pyarrow as pa
import pytest
from fastapi.routing import APIRoute

from htga_client.wire import ARROW_STREAM, PREFIX, ROWS
from htga_server.access import header_limits
from htga_server.app import create_app
from htga_server.http import uvicorn_protocol
from htga_server.http.server import Server
from htga_server.ingest.decode import MAX_LAYERS
from htga_server.settings import Settings
from tests.support.load import running, wait_until
from tests.support.routes import routes
from tests.support.rows import ipc, new_run

MIB = 2**20
IDLE = 500
MAX_MEMORY = 512 * MIB
HEAD = b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
DEEP = b"[" * 100_000


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'htga.db'}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Server]:
    """A collector that waits for a quarter of a second."""
    monkeypatch.setattr(uvicorn_protocol, "MAX_HEAD_SECONDS", 0.25)
    fast = settings.model_copy(update={"body_seconds": 0.25})
    with Server(create_app(fast)).background() as server:
        yield server


@contextmanager
def connected(port: int, number: int = 1) -> Iterator[list[socket.socket]]:
    """Open connections."""
    with ExitStack() as stack:
        opened = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(number)]
        yield [stack.enter_context(closing(one)) for one in opened]


def answered(one: socket.socket) -> bytes:
    """All that comes until the other side closes the connection."""
    said = b""
    while chunk := one.recv(2**16):
        said += chunk
    return said


def is_cut_off(one: socket.socket) -> bool:
    """Send a byte now and then; whether the other side has had enough within half a minute."""
    deadline = time.monotonic() + 30
    one.settimeout(0.05)
    while time.monotonic() < deadline:
        try:
            one.sendall(b"x")
            if one.recv(2**16) == b"":
                return True
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return True
    return False


@pytest.mark.parametrize("begin", [b"", b"\r\n", b"GET /healthz HTTP/1.1\r\nX: "])
def test_a_head_that_does_not_end_is_not_waited_for(impatient: Server, begin: bytes) -> None:
    with connected(impatient.port) as (one,):
        one.sendall(begin)
        assert answered(one) == b""


@pytest.mark.parametrize("path", [b"/api/v1/runs", b"/api/v1/runs/x/rows", b"/api/v1/query"])
def test_a_body_that_does_not_end_is_answered_and_then_cut_off(
    impatient: Server, path: bytes
) -> None:
    with connected(impatient.port) as (one,):
        one.sendall(HEAD.replace(b"/api/v1/runs", path) + b"Content-Length: 1000\r\n\r\n{")
        said = answered(one)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b'"type":"too-slow"' in said


def test_the_rest_of_a_body_that_was_refused_is_not_read_for_ever(impatient: Server) -> None:
    with connected(impatient.port) as (one,):
        one.sendall(HEAD.replace(b"application/json", b"text/plain"))
        one.sendall(b"Content-Length: 100000000\r\n\r\n{")
        assert is_cut_off(one)


def test_a_connection_that_rests_between_requests_is_kept(impatient: Server) -> None:
    with httpx2.Client(base_url=impatient.url) as client:
        first = client.get("/healthz").extensions["network_stream"]
        until = time.monotonic() + 2 * 0.25
        wait_until(lambda: time.monotonic() > until)
        again = client.get("/healthz")
        assert again.status_code == 200
        assert again.extensions["network_stream"].get_extra_info("socket") is not None
        assert first.get_extra_info("client_addr") == again.extensions[
            "network_stream"
        ].get_extra_info("client_addr")


def test_a_stream_of_events_lives_longer_than_a_body_may_take(impatient: Server) -> None:
    with (
        httpx2.Client(base_url=impatient.url + PREFIX, timeout=30) as client,
        client.stream("GET", "/live") as live,
    ):
        lines = live.iter_lines()
        assert next(lines) == ": open"
        until = time.monotonic() + 2 * 0.25
        wait_until(lambda: time.monotonic() > until)
        client.post("/runs", json=new_run())
        assert any(line.startswith("event: run") for line in lines)


def endless_header(port: int) -> None:
    with connected(port) as (one,):
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
        try:
            for _ in range(160):
                one.sendall(b"a" * 2**16)  # ten MiB
            said = answered(one)
        except (ConnectionResetError, BrokenPipeError):
            return
        assert said == b"" or said.startswith(b"HTTP/1.1 431 "), said[:80]


def long_head(url: str) -> None:
    with httpx2.Client(base_url=url) as client:
        for path in ("/healthz", f"{PREFIX}/runs"):
            said = client.get(path, headers={"x": "a" * header_limits.MAX_HEADER_BYTES})
            assert (said.status_code, said.json()["type"]) == (431, "headers-too-large")
            ranges = ", ".join(f"{i}-{i}" for i in range(10_000))
            said = client.get(path, headers={"range": f"bytes={ranges}"})
            assert said.status_code == 431
            few = ", ".join(f"{i}-{i}" for i in range(2000))
            said = client.get(path, headers={"range": f"bytes={few}"})
            assert said.status_code == 200
            assert "content-range" not in said.headers
            said = client.get(f"{path}?q={'a' * header_limits.MAX_ADDRESS_BYTES}")
            assert (said.status_code, said.json()["type"]) == (414, "address-too-long")
            said = client.get(f"{path}?" + "&".join(f"a{i}=1" for i in range(65)))
            assert (said.status_code, said.json()["type"]) == (422, "invalid")


def many_parameters(port: int) -> None:
    with connected(port) as (one,):
        one.sendall(b"GET /api/v1/runs?")
        try:
            one.sendall(b"&".join(b"a%d=1" % i for i in range(10**6)))
            one.sendall(b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            said = answered(one)
        except (ConnectionResetError, BrokenPipeError):
            return
        assert said.split(b" ")[1] in {b"414", b"431"} if said else True


def deep_json(url: str, where: list[str]) -> None:
    json_type = {"content-type": "application/json"}
    with httpx2.Client(base_url=url) as client:
        for method_path in where:
            method, path = method_path.split(" ")
            for body in (DEEP, b'{"rows":' + DEEP, b'{"a":' * 100_000, DEEP + b"]" * 100_000):
                said = client.request(method, path, content=body, headers=json_type)
                assert said.status_code in {400, 404, 422}, (method, path, said.text)


def rows_of_layers(number: int) -> bytes:
    layers = [f"layer{i}" for i in range(number)]
    columns = {"step": [1] * number, "layer": layers, "alpha_hat": [1.5] * number}
    fields = [ROWS.field(name) for name in columns]
    return ipc(pa.table(columns, schema=pa.schema(fields)))


def many_layers(url: str) -> None:
    with httpx2.Client(base_url=url + PREFIX, timeout=120) as client:
        path = f"/runs/{client.post('/runs', json=new_run()).json()['id']}/rows"
        for number, status in ((MAX_LAYERS, 200), (MAX_LAYERS + 1, 413)):
            headers = {"content-type": ARROW_STREAM}
            said = client.post(path, content=rows_of_layers(number), headers=headers)
            assert said.status_code == status, said.text


def strange_numbers(url: str) -> None:
    with httpx2.Client(base_url=url + PREFIX) as client:
        path = f"/runs/{client.post('/runs', json=new_run()).json()['id']}/rows"
        headers = {"content-type": "application/json"}
        for text in ("2e308", "-1e400", "9223372036854775808", "18446744073709551616", "9" * 5000):
            for key in ("step", "rank", "k", "time", "alpha_hat"):
                body = f'{{"rows": [{{"step": 1, "{key}": {text}}}]}}'
                said = client.post(path, content=body, headers=headers)
                assert said.status_code in {200, 400, 422}, (key, text, said.text)
        values = ["NaN", "Infinity", "-Infinity"]
        rows = [{"step": i, "alpha_hat": value} for i, value in enumerate(values)]
        assert client.post(path, json={"rows": rows}).json()["accepted"] == 3
        found = client.get(path.replace("/rows", "/series?keys=alpha_hat&start=0&stop=3")).json()
        assert found["keys"]["alpha_hat"]["last"] == values


def bodies_of(settings: Settings) -> list[str]:
    """Method and address of every route that reads a body."""
    return [
        f"{method} {PREFIX}{route.path.replace('{run_id}', 'x').replace('{rule_id}', 'x')}"
        for route in routes(create_app(settings))
        if isinstance(route, APIRoute)
        for method in route.methods or ()
        if method in {"POST", "PUT", "PATCH"}
        and (route.body_field is not None or route.path.endswith("/rows"))
    ]


def test_while_it_is_attacked_a_collector_answers_others_and_holds_little(
    tmp_path: Path, settings: Settings
) -> None:
    where = bodies_of(settings)
    assert len(where) >= 8, where
    with running(tmp_path / "data") as collector, connected(collector.port, IDLE) as idle:
        assert collector.process is not None
        process = psutil.Process(collector.process.pid)
        for number, one in enumerate(idle):
            one.sendall(HEAD if number % 2 else HEAD + b"Content-Length: 9\r\n\r\n{")
        url, port = collector.url, collector.port
        attacks: list[Callable[[], None]] = [
            partial(endless_header, port),
            partial(long_head, url),
            partial(many_parameters, port),
            partial(deep_json, url, where),
            partial(many_layers, url),
            partial(strange_numbers, url),
        ]
        slowest = 0.0
        for attack in attacks:
            attack()
            begin = time.perf_counter()
            assert httpx2.get(url + "/healthz", timeout=10).json() == {"status": "ok"}
            slowest = max(slowest, time.perf_counter() - begin)
        assert httpx2.post(f"{url}{PREFIX}/runs", json=new_run(), timeout=10).status_code == 201
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = 1024 * int(next(one.split()[1] for one in status.splitlines() if "VmHWM" in one))
        print(f"{peak / MIB:.0f} MiB at most; /healthz within {slowest * 1e3:.0f} ms")
        assert peak < MAX_MEMORY
        assert json.loads(httpx2.get(f"{url}{PREFIX}/runs").text)["items"]
