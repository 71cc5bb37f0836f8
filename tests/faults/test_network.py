"""The way to the collector is broken in every way a network and a proxy know."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from htga_client import wire
from htga_client.errors import Unreachable
from htga_client.http import backoff, connection
from htga_client.http.backoff import Backoff
from htga_client.http.retry import Retrier
from htga_client.http.transport import HttpTransport
from htga_client.run_ids import uuid7
from htga_client.sender.delivery import Delivery
from htga_client.sender.sender import Sender
from htga_client.spool.spool import Spool
from tests.support.faulty_collector import Fault, FaultyCollector, refuse
from tests.support.processes import collecting
from tests.support.seeded_random import rounds, seeded_random
from tests.support.senders import end, open_sender, put

HTML = b"<html><body>please log in</body></html>"
WRONG_COUNT = b'{"accepted": 5, "duplicates": 0, "rejected": []}'


@pytest.fixture
def sender(faulty: FaultyCollector, tmp_path: Path) -> Iterator[Sender]:
    made = open_sender(faulty.url, tmp_path / "spool", batch_rows=10)
    yield made
    end(made)


def faults(chance: random.Random, count: int) -> list[Fault]:
    """What happens to the next requests."""
    kinds = {
        "nothing": Fault(),
        "reset after the commit, before the reply": Fault(lose=True),
        "a captive portal": Fault(status=200, body=HTML),
        "a proxy that counts wrong": Fault(status=200, body=WRONG_COUNT),
        "half a reply": Fault(status=200, body=WRONG_COUNT[:9], headers={"Connection": "close"}),
        "a redirect": Fault(status=302, headers={"Location": "http://192.0.2.1/"}),
        "overload": refuse(503),
        "too many requests": refuse(429, **{"Retry-After": "0"}),
        "a bug of the collector": refuse(500),
    }
    return [kinds[chance.choice(list(kinds))] for _ in range(count)]


def test_rows_are_stored_once_and_in_order_over_a_broken_network(
    sender: Sender, faulty: FaultyCollector
) -> None:
    faulty.faults.extend(faults(seeded_random(), rounds(100, 2000)))
    put(sender, rounds(500, 10_000))
    assert sender.flush(120)
    assert faulty.steps() == list(range(rounds(500, 10_000)))
    assert sender.stats.retries > 10


def test_control_without_numbers_a_lost_reply_stores_rows_twice(
    sender: Sender, faulty: FaultyCollector
) -> None:
    faulty.forgetful = True
    faulty.faults.extend([Fault(lose=True)] * 3)
    put(sender, 50)
    assert sender.flush(60)
    assert len(faulty.steps()) > 50


def test_control_a_receipt_that_is_believed_unread_loses_rows(
    sender: Sender, faulty: FaultyCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def believe(self: HttpTransport, run_id: str, body: bytes) -> wire.Receipt:
        self._connection.request("POST", f"/runs/{run_id}/rows", content=body)
        return wire.Receipt(accepted=pa.ipc.open_stream(body).read_all().num_rows, duplicates=0)

    monkeypatch.setattr(HttpTransport, "send", believe)
    faulty.faults.extend([Fault(status=200, body=HTML)] * 100)
    put(sender, 50)
    assert sender.flush(20)
    assert len(faulty.steps()) < 50


def test_a_collector_that_hangs_holds_up_nobody_and_loses_nothing(tmp_path: Path) -> None:
    with collecting(tmp_path / "data", "--no-dashboard") as collector:
        sender = open_sender(collector.url, tmp_path / "spool")
        put(sender, 10)
        assert sender.flush(60)
        collector.process.send_signal(signal.SIGSTOP)
        try:
            put(sender, rounds(2000, 50_000), first=10)  # returns, although there is no answer
            assert not sender.flush(0.2)
        finally:
            collector.process.send_signal(signal.SIGCONT)
        assert sender.flush(120)
        assert sender.stats.acked == 10 + rounds(2000, 50_000)
        end(sender)


def test_control_a_client_that_sends_while_it_logs_is_held_up(
    sender: Sender, faulty: FaultyCollector
) -> None:
    gate = threading.Event()
    faulty.always = Fault(hold=gate)
    logging = threading.Thread(target=sender.register)
    logging.start()
    logging.join(0.5)
    assert logging.is_alive()
    gate.set()
    logging.join(20)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9", "http://no.such.host.invalid", "https://127.0.0.1:{port}",
     "http://[::1]:9"],
    ids=["refused", "no such name", "no TLS", "no route"],
)  # fmt: skip
def test_rows_wait_for_an_address_that_does_not_answer(
    url: str, faulty: FaultyCollector, tmp_path: Path
) -> None:
    port = faulty.url.rsplit(":", 1)[1]
    sender = open_sender(url.format(port=port), tmp_path / "spool")
    put(sender, 20)
    while not sender.stats.retries:
        assert not sender.flush(0.05)
    stats = sender.stats
    assert (stats.queued, stats.acked, stats.dropped) == (20, 0, {})
    end(sender)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Names that are looked up in vain: says when one is, and is told when to give up."""
    asked, answered = threading.Event(), threading.Event()

    def silent(*_: object, **__: object) -> None:
        asked.set()
        answered.wait(60)
        raise socket.gaierror("timed out")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    yield asked, answered
    answered.set()


def test_a_name_server_that_never_answers_is_waited_for_by_no_training_thread(
    tmp_path: Path, names: tuple[threading.Event, threading.Event]
) -> None:
    asked, answered = names
    sender = open_sender("http://collector.example", tmp_path / "spool")
    put(sender, 20)
    assert asked.wait(20)
    put(sender, 20, first=20)
    assert sender.stats.queued == 40
    answered.set()
    end(sender)


def test_control_a_client_that_looks_up_the_name_while_it_logs_is_held_up(
    tmp_path: Path, names: tuple[threading.Event, threading.Event]
) -> None:
    asked, answered = names
    sender = open_sender("http://collector.example", tmp_path / "spool")

    def register() -> None:
        with contextlib.suppress(Unreachable):
            sender.register()

    logging = threading.Thread(target=register)
    logging.start()
    assert asked.wait(20)
    logging.join(0.2)
    assert logging.is_alive()
    answered.set()
    logging.join(20)
    assert not logging.is_alive()
    sender.close()


def wait_for(header: str, faulty: FaultyCollector) -> float:
    """Seconds that a sender leaves a collector alone that is busy and says for how long."""
    waits: list[float] = []

    def pause(seconds: float) -> bool:
        waits.append(seconds)
        faulty.always = None
        return False

    faulty.always = refuse(429, **{"Retry-After": header})
    transport = HttpTransport(faulty.url)
    run = wire.NewRun(id=str(uuid7()), project="p", name="n", writer=str(uuid7()), resume="allow")
    retrier = Retrier(transport.url, backoff=Backoff(), auth_retry_seconds=0.0, pause=pause)
    Delivery(transport, run, Spool(), retrier).register()
    transport.close()
    (seconds,) = waits
    return seconds


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("0", 0, 0), ("5", 5, 5.5), ("1000000000", 300, 330), ("-3", 0, 0.5), ("soon", 0, 0.5),
     ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0), ("Fri, 31 Dec 9999 23:59:59 GMT", 300, 330)],
)  # fmt: skip
def test_a_wait_that_is_asked_for_is_kept_within_reason(
    faulty: FaultyCollector, header: str, low: float, high: float
) -> None:
    assert low <= wait_for(header, faulty) <= high


def test_control_a_client_that_does_not_read_what_is_asked_for_comes_too_early(
    faulty: FaultyCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_seconds", lambda _header: None)
    assert wait_for("5", faulty) < 5


def test_control_a_client_that_believes_any_wait_stays_away_for_decades(
    faulty: FaultyCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "MAX_RETRY_AFTER", float("inf"))
    assert wait_for("1000000000", faulty) > 330


CLIENTS = 10_000


def arrivals(seed: int, *, jitter: bool) -> list[int]:
    """Requests in each second of clients that find their collector gone for a minute."""
    chance = random.Random(seed)
    seconds = [0] * 120
    for _ in range(CLIENTS):
        delays = Backoff(uniform=chance.random if jitter else lambda: 1.0)
        at = 0.0
        while at < 60:
            at += delays.delay()
        seconds[int(at)] += 1
    return seconds[60:90]


def test_a_fleet_does_not_return_as_one() -> None:
    # Of uniform waits that are under way, twice the mean end in the first second; 2.3 times the
    # mean is four standard deviations more.
    arrived = arrivals(seeded_random().randrange(2**32), jitter=True)
    assert sum(arrived) == CLIENTS
    assert max(arrived) <= 2.3 * CLIENTS / len(arrived)


def test_control_without_jitter_a_fleet_returns_as_one() -> None:
    assert max(arrivals(0, jitter=False)) == CLIENTS


def test_a_batch_that_is_refused_for_ever_is_set_aside_and_the_next_arrives(
    sender: Sender, faulty: FaultyCollector, tmp_path: Path
) -> None:
    faulty.poison = 13
    put(sender, 30)
    assert not sender.flush(60)
    (letter,) = (tmp_path / "spool" / "dead").rglob("*.arrow")
    (dead,) = sender.dead
    lost = set(dead.table["step"].to_pylist())
    assert 13 in lost
    assert faulty.steps() == [step for step in range(30) if step not in lost]
    assert [(first, last) for _, first, last in faulty.gaps] == [(min(lost), max(lost) + 1)]
    assert letter.stat().st_mode & 0o077 == 0 or letter.parent.stat().st_mode & 0o077 == 0


def test_control_a_refusal_taken_for_an_outage_blocks_the_rows_behind_it(
    sender: Sender, faulty: FaultyCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("htga_client.http.retry.AUTH_STATUSES", frozenset({422}))
    faulty.poison = 13
    put(sender, 30)
    assert not sender.flush(0.5)
    assert 29 not in faulty.steps()


def test_a_token_that_is_revoked_and_restored_costs_no_row(
    faulty: FaultyCollector, tmp_path: Path
) -> None:
    sender = open_sender(faulty.url, tmp_path / "spool", "secret", auth_retry_seconds=0.01)
    put(sender, 10)
    assert sender.flush(60)
    faulty.always = refuse(401, "revoked")
    put(sender, 10, first=10)
    while sender.stats.retries < 5:
        assert not sender.flush(0.05)
    faulty.always = None
    put(sender, 10, first=20)
    assert sender.flush(60)
    assert faulty.steps() == list(range(30))
    end(sender)


def test_control_a_revoked_token_taken_for_a_refusal_loses_rows(
    faulty: FaultyCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("htga_client.http.retry.AUTH_STATUSES", frozenset())
    sender = open_sender(faulty.url, tmp_path / "spool", "secret", auth_retry_seconds=0.01)
    put(sender, 10)
    assert sender.flush(60)
    faulty.always = refuse(401, "revoked")
    put(sender, 10, first=10)
    assert not sender.flush(20)
    assert sender.stats.dropped == {"refused": 10}
    end(sender)
