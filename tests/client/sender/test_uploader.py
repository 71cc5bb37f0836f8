from __future__ import annotations

from collections.abc import Callable

import pytest

from htga_client.sender import uploader as courier
from htga_client.sender.sender import Sender
from tests.support.faulty_collector import FaultyCollector, refuse
from tests.support.senders import end, open_sender, put


@pytest.fixture(autouse=True)
def never_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "LIVE", 0.001)
    monkeypatch.setattr(courier, "QUIET", 3600.0)


def deliveries(faulty: FaultyCollector) -> int:
    return sum(path.endswith("/rows") for _, path, _ in faulty.requests)


def heartbeats(faulty: FaultyCollector) -> int:
    return sum(path.endswith("/heartbeat") for _, path, _ in faulty.requests)


def has_rows(faulty: FaultyCollector, count: int) -> Callable[[], bool]:
    return lambda: len(faulty.rows) >= count


def first_row(faulty: FaultyCollector) -> Sender:
    sender = open_sender(faulty.url, None, linger=None)
    put(sender, 1)
    assert faulty.wait(has_rows(faulty, 1))  # nobody has asked for it: the first are never held
    return sender


def test_where_nobody_looks_rows_wait_to_go_together(faulty: FaultyCollector) -> None:
    assert deliveries_of_six_rows(faulty) == 2


def deliveries_of_six_rows(faulty: FaultyCollector) -> int:
    sender = first_row(faulty)
    for step in range(1, 6):
        put(sender, 1, first=step)
        mark = sender._intake.mark()
        assert mark.passed.wait(20)  # each is spooled by itself
    assert sender.flush(20)
    assert faulty.steps() == list(range(6))
    end(sender)
    return deliveries(faulty)


def test_a_collector_with_many_senders_may_ask_for_fewer_requests(
    faulty: FaultyCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "QUIET", 0.001)
    monkeypatch.setattr(courier, "SLOWEST", 3600.0)
    faulty.pace = float("inf")
    assert deliveries_of_six_rows(faulty) == 2


def test_while_somebody_looks_they_go_at_once(faulty: FaultyCollector) -> None:
    faulty.followed = True
    sender = first_row(faulty)
    for step in range(1, 6):
        put(sender, 1, first=step)
        assert faulty.wait(has_rows(faulty, step + 1))
    assert deliveries(faulty) == 6
    end(sender)


def test_a_full_request_waits_for_nobody(faulty: FaultyCollector) -> None:
    sender = open_sender(faulty.url, None, linger=3600.0, batch_rows=10)
    put(sender, 10)
    assert faulty.wait(has_rows(faulty, 10))
    end(sender)


def test_a_run_without_rows_says_that_it_is_alive(faulty: FaultyCollector) -> None:
    sender = open_sender(faulty.url, None, heartbeat=0.001)
    sender.start()
    assert faulty.wait(lambda: heartbeats(faulty) >= 3)
    put(sender, 3)
    assert sender.flush(20)
    assert sender.stats.acked == 3
    end(sender)


@pytest.mark.parametrize("status", [404, 405, 503])
def test_a_collector_that_knows_no_heartbeat_is_left_in_peace(
    faulty: FaultyCollector, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    sender = open_sender(faulty.url, None, heartbeat=0.001)
    put(sender, 1)
    assert sender.flush(20)
    faulty.always = refuse(status)
    seen = heartbeats(faulty)
    assert faulty.wait(lambda: heartbeats(faulty) >= seen + 3)
    faulty.always = None
    put(sender, 1, first=1)
    assert sender.flush(20)
    assert (sender.stats.acked, sender.stats.retries) == (2, 0)
    assert "refused" not in capfd.readouterr().err
    end(sender)
