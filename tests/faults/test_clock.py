"""The clock of the machine is wrong, and jumps while the run goes on."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from htga_client import wire
from htga_client.run_ids import uuid7
from htga_client.spool.directory import SpoolDirectory
from htga_client.spool.segment_file import DiskSegment
from htga_client.spool.spool import Spool
from htga_client.wire.row_encoder import record_batch
from tests.support.faulty_collector import FaultyCollector
from tests.support.senders import end, open_sender, put

HOUR = 3600.0
REAL = time.time


def jumping() -> Callable[[], float]:
    """A clock that goes an hour back, two days on, and back again with each look."""
    offsets = itertools.cycle([-HOUR, 48 * HOUR, 0.0, -HOUR])
    return lambda: REAL() + next(offsets)


def test_order_and_number_of_rows_do_not_follow_the_clock(
    faulty: FaultyCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", jumping())
    sender = open_sender(faulty.url, tmp_path / "spool", batch_rows=7)
    for step in range(100):
        sender.put({"step": step, "time": time.time()})
    assert sender.flush(60)
    put(sender, 50, first=100)
    assert sender.finish(timeout=60)
    assert faulty.steps() == list(range(150))
    assert sender.stats.acked == 150
    end(sender)


def disk_used_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, clock: Callable[[], float]
) -> bool:
    """Whether a disk that has refused once is used again after the clock went an hour back."""
    run = wire.NewRun(id=str(uuid7()), project="p", name="n", writer=str(uuid7()))
    spool = Spool(lambda: SpoolDirectory.create(folder, run, ""), segment_seconds=0.0)
    monkeypatch.setattr("htga_client.spool.disk_backoff.RETRY_SECONDS", 0.0)

    def refuse(_: Path) -> DiskSegment:
        raise OSError("the disk is full")

    with monkeypatch.context() as full:
        full.setattr(DiskSegment, "create", refuse)
        spool.append(record_batch([{"step": 0}]))
    monkeypatch.setattr(time, "time", lambda: REAL() - HOUR)
    with monkeypatch.context() as timers:
        timers.setattr("htga_client.spool.spool.time.monotonic", clock)
        spool.append(record_batch([{"step": 1}]))
    monkeypatch.undo()
    spool.close()
    return spool.durable and not spool.lost


def test_timers_do_not_follow_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert disk_used_again(tmp_path / "spool", monkeypatch, time.monotonic)


def test_control_timers_on_the_clock_would_stop_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.monotonic()
    assert not disk_used_again(tmp_path / "spool", monkeypatch, lambda: start - HOUR)
