"""A webhook is called only if it is on the public internet."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_server.alerts import webhook
from htga_server.alerts.webhook_queue import WebhookQueue
from htga_server.problems import BadRequest

HOST = "hooks.example"


class Hook(BaseHTTPRequestHandler):
    """Records what it receives, and answers as configured."""

    received: ClassVar[list[tuple[str, str, Any]]] = []
    answers: ClassVar[list[tuple[int, str]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.received.append((self.path, self.headers["Host"], body))
        status, location = self.answers.pop(0) if self.answers else (204, "")
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key of hooks.example, signed by itself."""
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    subject = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run(
        [*command, "-keyout", str(path), "-out", f"{path}.crt"], check=True, capture_output=True
    )
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def port(certificate: Path) -> Iterator[int]:
    """Where a `Hook` listens on this machine."""
    Hook.received.clear()
    Hook.answers.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


async def here(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


def post(url: str, certificate: Path, **other: Any) -> None:
    trust = ssl.create_default_context(cafile=f"{certificate}.crt")
    known: dict[str, Any] = {"lookup": here, "allowed": lambda _ip: True, "trust": trust}
    asyncio.run(webhook.post(url, {"text": "low"}, **(known | other)))


def test_a_webhook_is_posted_to_the_address_that_was_resolved(port: int, certificate: Path) -> None:
    post(f"https://{HOST}:{port}/a/b?c=d", certificate)
    assert Hook.received == [("/a/b?c=d", f"{HOST}:{port}", {"text": "low"})]


def test_an_address_that_is_not_out_on_the_internet_is_not_called(
    port: int, certificate: Path
) -> None:
    with pytest.raises(OSError, match=r"not out on the internet: 127\.0\.0\.1"):
        post(f"https://{HOST}:{port}/", certificate, allowed=webhook.is_public)
    with pytest.raises(OSError, match="not out on the internet"):
        asyncio.run(webhook.post(f"https://localhost:{port}/", {}))

    async def two(_host: str, _port: int) -> list[str]:
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(OSError, match=r"internet: 10\.0\.0\.1"):
        post(f"https://{HOST}:{port}/", certificate, lookup=two, allowed=webhook.is_public)
    assert Hook.received == []


def test_a_redirect_is_not_followed(port: int, certificate: Path) -> None:
    Hook.answers[:] = [(302, f"https://{HOST}:{port}/elsewhere")]
    with pytest.raises(OSError, match="answers 302"):
        post(f"https://{HOST}:{port}/", certificate)
    assert len(Hook.received) == 1


def test_a_certificate_of_another_name_or_of_nobody_known_is_refused(
    port: int, certificate: Path
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        post(f"https://other.example:{port}/", certificate)
    with pytest.raises(ssl.SSLCertVerificationError):
        post(f"https://{HOST}:{port}/", certificate, trust=None)
    assert Hook.received == []


def test_an_address_that_never_answers_or_for_ever_is_given_up(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        post(f"https://{HOST}:{silent.getsockname()[1]}/", certificate)
    with socket.create_server(("127.0.0.1", 0)) as endless:

        def babble() -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            plain, _ = endless.accept()
            try:
                with context.wrap_socket(plain, server_side=True) as secured:
                    while True:
                        secured.sendall(b"x" * 65536)
            except OSError:
                pass

        thread = threading.Thread(target=babble)
        thread.start()
        with pytest.raises(OSError, match="does not answer in HTTP"):
            post(f"https://{HOST}:{endless.getsockname()[1]}/", certificate)
        thread.join()


@pytest.mark.parametrize(
    ("ip", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:1:1::1", False),
        ("::127.0.0.1", False),
        ("::93.184.216.34", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b:1::7f00:1", False),
        ("64:ff9b:1:ffff::a00:1", False),
        ("fec0::1", False),
        ("fd12:3456::1", False),
        ("ff02::1", False),
        ("100::1", False),
        ("2001:db8::1", False),
        ("2001:10::1", False),
        ("3fff::1", False),
        ("4000::1", False),
        ("5f00::1", False),
        ("192.88.99.1", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("2a00:1450:4001::1", True),
    ],
)
def test_which_addresses_are_out_on_the_internet(ip: str, public: bool) -> None:
    assert webhook.is_public(ip) == public


FORMS = ("::{}", "::ffff:{}", "::ffff:0:{}", "64:ff9b::{}", "64:ff9b:1::{}", "2002:{}::1")


@given(st.ip_addresses(v=4).filter(lambda ip: not ip.is_global), st.sampled_from(FORMS))
def test_no_form_of_an_inner_address_is_out_on_the_internet(ip: Any, form: str) -> None:
    digits = f"{ip.packed[:2].hex()}:{ip.packed[2:].hex()}"
    assert not webhook.is_public(str(ip))
    assert not webhook.is_public(form.format(digits))


def test_a_host_that_the_operator_names_may_be_inside(port: int, certificate: Path) -> None:
    post(f"https://{HOST}:{port}/", certificate, allowed=webhook.is_public, inside=(HOST,))
    assert Hook.received == [("/", f"{HOST}:{port}", {"text": "low"})]
    assert webhook.address("https://10.0.0.7/x", ("10.0.0.7",)) == ("10.0.0.7", 443, "/x")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "https://",
        "https:///x",
        "https://a.example:99999/",
        "https://[::1]/",
        "x",
    ],
)
def test_what_is_no_webhook_is_refused(url: str) -> None:
    with pytest.raises(BadRequest):
        webhook.address(url)


def test_a_message_is_sent_again_until_it_arrives_or_is_given_up() -> None:
    tried: list[str] = []
    done = asyncio.Event()

    async def fickle(url: str, _message: object) -> None:
        tried.append(url)
        if url == "last":
            done.set()
        elif tried.count(url) < (2 if url == "second time" else 99):
            raise OSError("no")

    async def send() -> None:
        queue = WebhookQueue(fickle, retry_delays=(0.0, 0.0))
        for url in ("second time", "never", "last"):
            queue.send(url, {})
        work = asyncio.create_task(queue.run())
        await done.wait()
        work.cancel()

    asyncio.run(send())
    assert tried == ["second time"] * 2 + ["never"] * 3 + ["last"]
