from __future__ import annotations

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from htga_client import Client, wire
from htga_client.errors import NotAnAcknowledgement, Refused, Unreachable
from htga_client.http.connection import Connection
from htga_client.http.transport import HttpTransport
from htga_client.run_ids import uuid7
from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.settings import Settings
from tests.support.faulty_collector import Fault, FaultyCollector, refuse

URLS = ["", "localhost:8642", "ftp://host", "http://", "http:///x", "http://host:port", "//host",
        "http://host:0", "http://[::1"]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_an_address_that_cannot_work_is_refused_by_name_and_value(url: str) -> None:
    with pytest.raises(ValueError, match=r"url .* must look like") as error:
        HttpTransport(url)
    assert repr(url) in str(error.value)


def test_a_token_that_cannot_stand_in_a_header_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="token must be") as error:
        HttpTransport("http://host", "hush\r\nX: y")
    assert "hush" not in str(error.value)


def test_a_refusal_carries_status_and_reason(faulty: FaultyCollector) -> None:
    faulty.always = refuse(422, "step must not be negative")
    connection = Connection(faulty.url)
    with pytest.raises(Refused, match="step must not be negative") as error:
        connection.request("POST", "/runs", content=b"{}")
    connection.close()
    assert (error.value.status, error.value.detail) == (422, "step must not be negative")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("soon", None),
        ("-1", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    faulty: FaultyCollector, header: str, seconds: float | None
) -> None:
    faulty.always = Fault(status=503, headers={"Retry-After": header})
    connection = Connection(faulty.url)
    with pytest.raises(Unreachable) as error:
        connection.request("POST", "/runs", content=b"{}")
    connection.close()
    assert error.value.retry_after == seconds


def test_an_endless_answer_is_cut_off(faulty: FaultyCollector) -> None:
    faulty.always = Fault(status=200, body=b" " * 100_000)
    connection = Connection(faulty.url, max_answer=1000)
    with pytest.raises(NotAnAcknowledgement, match="more than 1000 bytes"):
        connection.request("POST", "/runs", content=b"{}")
    connection.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_collector_takes_the_heartbeat_of_a_run_that_it_knows(collector: Server) -> None:
    transport = HttpTransport(collector.url)
    run = transport.register(wire.NewRun(id=str(uuid7()), project="p", name="n"))
    transport.heartbeat(run.id)
    with pytest.raises(Refused) as error:
        transport.heartbeat(str(uuid7()))
    assert error.value.status == 404
    transport.close()


class Proxy:
    """Takes requests under a path, and passes them on without it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith("/team/htga/")
            scope = {**scope, "path": scope["path"].removeprefix("/team/htga")}
        await self.app(scope, receive, send)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_collector_is_reached_under_the_path_that_a_proxy_adds(settings: Settings) -> None:
    app = create_app(settings)
    app.add_middleware(Proxy)
    with Server(app).background() as server:
        url = f"{server.url}/team/htga"
        transport = HttpTransport(f"{url}/")
        run = transport.register(wire.NewRun(id=str(uuid7()), project="p", name="n"))
        transport.close()
        assert transport.url == url
        with Client(url) as client:
            assert client.run(run.id).name == "n"


def test_no_one_listening_is_unreachable() -> None:
    collector = FaultyCollector().start()
    collector.stop()
    with pytest.raises(Unreachable, match=collector.url):
        HttpTransport(collector.url).send("r", b"")
