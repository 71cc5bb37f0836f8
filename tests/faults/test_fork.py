"""A process forks while every lock of its sender is held by some thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from htga_client import wire
from htga_client.http.backoff import Backoff
from htga_client.http.transport import HttpTransport
from htga_client.run_ids import uuid7
from htga_client.sender.sender import Sender
from tests.faults.test_trainer_killed import deliver
from tests.support.faulty_collector import FaultyCollector
from tests.support.seeded_random import rounds

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def make_sender(url: str, folder: Path) -> Sender:
    run = wire.NewRun(id=str(uuid7()), project="p", name="n")
    return Sender(HttpTransport(url), run, folder=folder, backoff=Backoff(first=0.01))


@pytest.fixture
def sender(faulty: FaultyCollector, tmp_path: Path) -> Iterator[Sender]:
    made = make_sender(faulty.url, tmp_path / "spool")
    yield made
    made.close()
    assert made.join(20)


class LocksHeld:
    """Threads that hold each lock of a sender nearly all the time."""

    def __init__(self, sender: Sender) -> None:
        self._over = threading.Event()
        locks = [
            sender._state.changed,
            sender._spool._lock,
            sender._queue._lock,
            sender._starting,
        ]
        self._threads = [threading.Thread(target=self._hold, args=(lock,)) for lock in locks]

    def _hold(self, lock: threading.Condition | threading.RLock) -> None:
        while not self._over.is_set():
            with lock:
                self._over.wait(0.0005)

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def children(sender: Sender, count: int, *, seconds: int) -> list[int]:
    """Exit status of children that each put a row and wait for it to be stored."""
    statuses = []
    for child in range(count):
        sender.put({"step": child, "time": 1.0})
        pid = os.fork()
        if pid == 0:
            signal.alarm(seconds)  # instead of hanging with the test
            sender.put({"step": 1000 + child, "time": 1.0})
            os._exit(0 if sender.flush(seconds) and sender.stats.acked == 1 else 1)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return statuses


def test_a_child_never_hangs_and_sends_as_a_writer_of_its_own(
    sender: Sender, faulty: FaultyCollector, tmp_path: Path
) -> None:
    count = rounds(10, 500)
    with LocksHeld(sender):
        assert children(sender, count, seconds=20) == [0] * count
        assert sender.flush(20)
    deliver(tmp_path / "spool", faulty.url)
    by_writer: dict[str, list[int]] = {}
    for row in faulty.rows:
        by_writer.setdefault(row["writer"], []).append(row["step"])
    assert sorted(by_writer.values()) == [[*range(count)], *([1000 + i] for i in range(count))]


def test_control_a_child_that_inherits_the_locks_hangs(
    faulty: FaultyCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sender, "_after_fork", lambda _: None)
    naive = make_sender(faulty.url, tmp_path / "spool")
    with LocksHeld(naive):
        assert children(naive, 2, seconds=2) != [0, 0]
    naive.close()
    assert naive.join(20)


def log_one(step: int) -> None:
    """What a child of multiprocessing does."""
    sender = log_one.sender  # type: ignore[attr-defined]
    sender.put({"step": step, "time": 1.0})


def test_rows_of_a_child_of_multiprocessing_are_delivered_as_orphans(
    sender: Sender, faulty: FaultyCollector, tmp_path: Path
) -> None:
    sender.put({"step": 0, "time": 1.0})
    log_one.sender = sender  # type: ignore[attr-defined]
    context = multiprocessing.get_context("fork")
    child = context.Process(target=log_one, args=(7,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert sender.flush(20)
    deliver(tmp_path / "spool", faulty.url)
    assert sorted(faulty.steps()) == [0, 7]
    assert not faulty.finished  # the end of a child is not the run's
