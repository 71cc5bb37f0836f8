from __future__ import annotations

from collections.abc import Callable

import pytest

from htga_client.sender import delivery, uploader
from htga_client.sender.sender import Sender
from tests.support.faulty_collector import FaultyCollector, refuse
from tests.support.senders import end, open_sender, put


@pytest.fixture(autouse=True)
def no_wait_before_the_first_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_INTERVAL", 0.001)


def deliveries(faulty: FaultyCollector) -> int:
    return sum(path.endswith("/rows") for _, path, _ in faulty.requests)


def heartbeats(faulty: FaultyCollector) -> int:
    return sum(path.endswith("/heartbeat") for _, path, _ in faulty.requests)


def has_rows(faulty: FaultyCollector, count: int) -> Callable[[], bool]:
    return lambda: len(faulty.rows) >= count


def first_row(faulty: FaultyCollector) -> Sender:
    sender = open_sender(faulty.url, None, linger=None)
    put(sender, 1)
    assert faulty.wait(has_rows(faulty, 1))  # not asked for by a flush: the first rows never wait
    return sender


def deliveries_of_six_rows(faulty: FaultyCollector) -> int:
    sender = first_row(faulty)
    for step in range(1, 6):
        put(sender, 1, first=step)
        mark = sender._queue.mark()
        assert mark.passed.wait(20)  # each is spooled by itself
    assert sender.flush(20)
    assert faulty.steps() == list(range(6))
    end(sender)
    return deliveries(faulty)


def test_rows_wait_as_long_as_the_collector_asks_for(
    faulty: FaultyCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploader, "MAX_INTERVAL", 3600.0)
    faulty.min_interval = float("inf")
    assert deliveries_of_six_rows(faulty) == 2


def test_no_collector_can_make_rows_wait_for_ever(
    faulty: FaultyCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploader, "MAX_INTERVAL", 0.001)
    faulty.min_interval = float("inf")
    rows_go_one_by_one(faulty)


def test_rows_go_at_once_if_the_collector_asks_for_no_wait(faulty: FaultyCollector) -> None:
    faulty.min_interval = 0.001
    rows_go_one_by_one(faulty)


def rows_go_one_by_one(faulty: FaultyCollector) -> None:
    sender = first_row(faulty)
    for step in range(1, 6):
        put(sender, 1, first=step)
        assert faulty.wait(has_rows(faulty, step + 1))
    assert deliveries(faulty) == 6
    end(sender)


def test_a_full_request_does_not_wait(faulty: FaultyCollector) -> None:
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
def test_a_collector_without_heartbeats_costs_no_retry_and_no_warning(
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
