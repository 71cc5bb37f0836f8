from __future__ import annotations

import gc
import logging
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htga_client import wire
from htga_client.http.backoff import Backoff
from htga_client.http.transport import HttpTransport
from htga_client.run_ids import random_name, uuid7
from htga_client.sender.sender import Sender
from htga_client.sender.stats import SenderStats
from tests.support.faulty_collector import Fault, FaultyCollector, refuse

MakeSender = Callable[..., Sender]


def new_run() -> wire.NewRun:
    return wire.NewRun(id=str(uuid7()), project="p", name=random_name())


def row(step: int, **metrics: float) -> dict[str, Any]:
    return {"step": step, "time": 1.0, "metrics": metrics}


def balanced(stats: SenderStats) -> bool:
    return stats.logged == stats.acked + stats.queued + sum(stats.dropped.values())


@pytest.fixture
def make_sender() -> Iterator[MakeSender]:
    made: list[Sender] = []

    def make(url: str, token: str | None = None, **options: Any) -> Sender:
        options.setdefault("linger", 0.005)
        options.setdefault("backoff", Backoff(first=0.005, cap=0.02))
        made.append(Sender(HttpTransport(url, token), new_run(), **options))
        return made[-1]

    yield make
    for sender in made:
        sender.close()
        assert sender.join(20)
    gc.collect()


def test_rows_arrive_in_order_and_the_run_is_finished(
    faulty: FaultyCollector, make_sender: MakeSender
) -> None:
    sender = make_sender(faulty.url, batch_rows=7)
    assert all(sender.put(row(step)) for step in range(50))
    assert sender.flush(20)
    assert faulty.steps() == list(range(50))
    assert sender.finish(timeout=20)
    (how,) = faulty.finished.values()
    assert how == {"state": "finished", "logged": 50}
    assert (sender.stats.acked, sender.stats.queued, dict(sender.stats.dropped)) == (50, 0, {})


def test_the_token_is_sent_and_redirects_are_not_followed(
    faulty: FaultyCollector, make_sender: MakeSender
) -> None:
    elsewhere = FaultyCollector().start()
    faulty.faults.append(Fault(status=307, headers={"Location": elsewhere.url}))
    sender = make_sender(faulty.url, "secret")
    sender.put(row(0))
    assert sender.flush(20)
    assert all(headers["Authorization"] == "Bearer secret" for _, _, headers in faulty.requests)
    assert not elsewhere.requests
    elsewhere.stop()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(lose=True),
        refuse(503),
        refuse(429, **{"Retry-After": "0"}),
        refuse(500),
        Fault(status=200, body=b"<html>please log in</html>"),
        Fault(status=200, body=b'{"accepted": 0, "duplicates": 0}'),
        Fault(status=200, body=b'{"accepted": "many", "duplicates": 0}'),
        Fault(status=200, body=b"x" * (2 << 20)),
        Fault(status=204),
    ],
    ids=["lost", "503", "429", "500", "html", "miscount", "wrong_type", "endless", "empty"],
)
def test_every_row_is_delivered_exactly_once_under_faults(
    faulty: FaultyCollector, make_sender: MakeSender, fault: Fault
) -> None:
    faulty.faults.extend([fault, Fault()] * 5)
    sender = make_sender(faulty.url, batch_rows=10)
    for step in range(100):
        sender.put(row(step))
    assert sender.flush(20)
    assert faulty.steps() == list(range(100))
    assert sender.stats.acked == 100
    assert sender.stats.retries >= 5


def test_rows_wait_for_a_collector_that_starts_later(
    make_sender: MakeSender, caplog: pytest.LogCaptureFixture
) -> None:
    faulty = FaultyCollector().start()
    faulty.stop()
    caplog.set_level(logging.INFO, "htga")
    sender = make_sender(faulty.url)
    for step in range(20):
        sender.put(row(step))
    while sender.stats.retries < 5:
        assert not sender.flush(0.01)
    assert sender.stats.queued == 20
    faulty.start()
    assert sender.flush(20)
    assert faulty.steps() == list(range(20))
    said = [r.message for r in caplog.records if faulty.url in r.message]
    assert len(said) == 2
    assert said[0].endswith("will be delivered once it is there: `htga up` starts one")
    assert "is back" in said[1]
    faulty.stop()


def test_a_full_queue_drops_the_newest_rows_and_counts_them(
    faulty: FaultyCollector, make_sender: MakeSender
) -> None:
    writing, gate = threading.Event(), threading.Event()

    def slow() -> dict[str, Any]:
        writing.set()
        gate.wait(20)
        return row(0)

    sender = make_sender(faulty.url, capacity=10)
    assert sender.put(slow)
    assert writing.wait(20)
    taken = [sender.put(row(step)) for step in range(1, 26)]
    assert taken == [True] * 10 + [False] * 15
    assert sender.stats.dropped == {"queue_full": 15}
    assert balanced(sender.stats)
    gate.set()
    assert not sender.flush(20)
    assert faulty.steps() == list(range(11))


def test_a_refused_batch_becomes_a_dead_letter_and_the_next_ones_go_on(
    faulty: FaultyCollector, make_sender: MakeSender
) -> None:
    faulty.poison = 13
    sender = make_sender(faulty.url, batch_rows=5)
    for step in range(30):
        sender.put(row(step))
    assert not sender.flush(20)
    (dead,) = sender.dead
    lost = set(dead.table["step"].to_pylist())
    assert 13 in lost
    assert dead.reason == "poison"
    assert faulty.steps() == [step for step in range(30) if step not in lost]
    assert sender.stats.dropped == {"refused": len(lost)}
    assert balanced(sender.stats)


def test_a_refusal_after_a_lost_reply_does_not_cost_the_next_batch(
    faulty: FaultyCollector, make_sender: MakeSender
) -> None:
    faulty.faults.extend([Fault(lose=True), refuse(422, "a proxy in between")])
    sender = make_sender(faulty.url, batch_rows=5)
    for step in range(10):
        sender.put(row(step))
    sender.flush(20)
    assert faulty.steps() == list(range(10))


def test_a_body_that_is_too_large_is_halved(
    faulty: FaultyCollector, make_sender: MakeSender
) -> None:
    faulty.faults.extend([refuse(413)] * 3)
    sender = make_sender(faulty.url, batch_rows=8)
    for step in range(8):
        sender.put(row(step))
    assert sender.flush(20)
    assert faulty.steps() == list(range(8))


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "HTGA_TOKEN"), (403, "HTGA_TOKEN"), (404, "HTGA_URL")]
)
def test_a_refusal_at_the_start_is_reported_with_its_remedy(
    faulty: FaultyCollector,
    make_sender: MakeSender,
    caplog: pytest.LogCaptureFixture,
    status: int,
    remedy: str,
) -> None:
    faulty.always = refuse(status)
    sender = make_sender(faulty.url, auth_retry_seconds=0.01)
    sender.put(row(0))
    while sender.stats.retries < 2:
        assert not sender.flush(0.05)
    (warning,) = [r.message for r in caplog.records if faulty.url in r.message]
    assert f"with {status}" in warning
    assert "rows are kept" in warning
    assert remedy in warning
    faulty.always = None
    assert sender.flush(60)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_keeps_the_rows(
    faulty: FaultyCollector, make_sender: MakeSender, status: int
) -> None:
    faulty.always = refuse(status, "who are you")
    sender = make_sender(faulty.url, auth_retry_seconds=0.01)
    for step in range(5):
        sender.put(row(step))
    while sender.stats.retries < 4:
        assert not sender.flush(0.01)
    assert sender.stats.queued == 5
    faulty.always = None
    assert sender.flush(20)
    assert faulty.steps() == list(range(5))


def test_a_run_that_the_collector_has_lost_is_registered_again(
    faulty: FaultyCollector, make_sender: MakeSender
) -> None:
    sender = make_sender(faulty.url)
    sender.put(row(0))
    assert sender.flush(20)
    faulty.runs.clear()
    faulty.next_seq.clear()
    faulty.rows.clear()
    sender.put(row(1))
    assert sender.flush(20)
    assert faulty.steps() == [0, 1]  # and what the spool still holds
    faulty.runs.clear()
    assert sender.finish(timeout=20)


def test_callables_are_resolved_on_the_worker_and_one_that_raises_is_counted(
    faulty: FaultyCollector, make_sender: MakeSender, caplog: pytest.LogCaptureFixture
) -> None:
    threads = set()

    def several() -> list[dict[str, Any]]:
        threads.add(threading.current_thread().name)
        return [row(1), row(2), row(3)]

    def broken() -> dict[str, Any]:
        raise RuntimeError("out of luck")

    sender = make_sender(faulty.url)
    items: list[Any] = [row(0), several, broken, broken, lambda: row(4), list, lambda: 5]
    for item in items:
        sender.put(item)
    assert not sender.flush(20)
    assert faulty.steps() == [0, 1, 2, 3, 4]
    assert threads == {"htga-writer"}
    assert sender.stats.dropped == {"callable": 3}
    assert sender.stats.logged == 8
    assert balanced(sender.stats)
    assert sum("could not be made" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    "bad",
    [{"step": None}, {}, {"step": "three"}, {"step": 2**70}, {"step": 1, "alpha_hat": "heavy"},
     {"step": 1, "metrics": {"loss": "low"}}, {"step": 1, "metrics": 3}],
)  # fmt: skip
def test_an_invalid_row_is_dropped_and_its_neighbours_arrive(
    faulty: FaultyCollector, make_sender: MakeSender, bad: dict[str, Any]
) -> None:
    sender = make_sender(faulty.url)
    for item in (row(0), row(1), bad, row(2)):
        sender.put(item)
    assert not sender.flush(20)
    assert faulty.steps() == [0, 1, 2]
    assert sender.stats.dropped == {"invalid": 1}


def test_nan_and_infinities_arrive_as_they_are(
    faulty: FaultyCollector, make_sender: MakeSender
) -> None:
    sender = make_sender(faulty.url)
    sender.put(row(0, a=math.nan, b=math.inf, c=-math.inf) | {"alpha_hat": math.nan, "xi": None})
    assert sender.flush(20)
    (stored,) = faulty.rows
    assert math.isnan(stored["metrics"]["a"])
    assert (stored["metrics"]["b"], stored["metrics"]["c"]) == (math.inf, -math.inf)
    assert math.isnan(stored["alpha_hat"])
    assert stored["xi"] is None


def test_a_metric_named_like_a_measurement_does_not_shadow_it(
    faulty: FaultyCollector, make_sender: MakeSender
) -> None:
    sender = make_sender(faulty.url)
    sender.put(row(0, alpha_hat=9.0, loss=1.0) | {"alpha_hat": 1.5})
    assert sender.flush(20)
    (stored,) = faulty.rows
    assert stored["alpha_hat"] == 1.5
    assert stored["metrics"] == {"metrics/alpha_hat": 9.0, "loss": 1.0}


def test_calls_after_the_end_never_raise(faulty: FaultyCollector, make_sender: MakeSender) -> None:
    sender = make_sender(faulty.url)
    assert sender.finish("failed", timeout=20)
    assert sender.finish("finished", timeout=20)
    (how,) = faulty.finished.values()
    assert how["state"] == "failed"
    assert not sender.put(row(0))
    assert sender.stats.dropped == {"closed": 1}
    sender.close()
    sender.close()
    assert not sender.flush(20)


def test_closing_drops_what_waits_and_counts_it(make_sender: MakeSender) -> None:
    dark = FaultyCollector().start()
    dark.stop()
    sender = make_sender(dark.url)
    for step in range(5):
        sender.put(row(step))
    sender.close()
    assert sender.stats.dropped == {"closed": 5}
    assert balanced(sender.stats)


@settings(max_examples=25)
@given(
    items=st.lists(st.sampled_from(["row", "list", "raise", "bad"]), max_size=30),
    faults=st.lists(st.sampled_from(["lose", "503", "422", "ok"]), max_size=8),
    capacity=st.integers(1, 30),
    batch_rows=st.integers(1, 10),
)
def test_the_counts_add_up_whatever_happens(
    items: list[str], faults: list[str], capacity: int, batch_rows: int
) -> None:
    answers = {"lose": Fault(lose=True), "503": refuse(503), "422": refuse(422), "ok": Fault()}
    faulty = FaultyCollector().start()
    faulty.faults.extend(answers[name] for name in faults)
    sender = Sender(
        HttpTransport(faulty.url),
        new_run(),
        capacity=capacity,
        batch_rows=batch_rows,
        linger=0.0,
        backoff=Backoff(first=0.001, cap=0.002),
    )
    for step, kind in enumerate(items):
        put: dict[str, Any] = {
            "row": row(step),
            "list": lambda s=step: [row(s), row(s)],
            "raise": lambda: 1 / 0,
            "bad": {"step": "x"},
        }
        sender.put(put[kind])
        assert balanced(sender.stats)
    sender.finish(timeout=20)
    assert balanced(sender.stats)
    assert sender.stats.queued == 0
    if "queue_full" not in sender.stats.dropped:
        assert sender.stats.logged == len(items) + items.count("list")
    assert sender.stats.acked <= len(faulty.rows)
    if "422" not in faults:
        assert sender.stats.acked == len(faulty.rows)
    faulty.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_sends_as_its_own_writer_and_never_hangs(
    faulty: FaultyCollector, make_sender: MakeSender
) -> None:
    sender = make_sender(faulty.url)
    busy = threading.Event()

    def keep_locking() -> None:
        while not busy.is_set():
            with sender._state.changed, sender._spool._lock, sender._queue._lock:
                pass

    holder = threading.Thread(target=keep_locking)
    holder.start()
    for step in range(10):
        sender.put(row(step))
    children = []
    for child in range(5):
        pid = os.fork()
        if pid == 0:
            # Dies by SIGALRM instead of hanging with the test.
            signal.alarm(120)
            sender.put(row(100 + child))
            os._exit(0 if sender.flush(100) and sender.stats.acked == 1 else 1)
        children.append(pid)
    # Its work was to hold locks at the forks; now it would only keep the collector from answering.
    busy.set()
    holder.join()
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 5
    assert sender.flush(100)
    assert sorted(faulty.steps()) == [*range(10), *range(100, 105)]
    assert len({stored["writer"] for stored in faulty.rows}) == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_that_puts_nothing_does_nothing_even_at_its_end(
    faulty: FaultyCollector, make_sender: MakeSender
) -> None:
    sender = make_sender(faulty.url)
    sender.put(row(0))
    assert sender.flush(20)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        os._exit(0 if sender.finish() and not sender._threads.started else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert sum(path.endswith("/runs") for _, path, _ in faulty.requests) == 1
