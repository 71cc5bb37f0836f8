"""A training process dies of kill -9, with a collector and without; what it wrote arrives."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from htga_client.http.transport import HttpTransport
from htga_client.sender.orphans import deliver_orphans
from tests.support.faulty_collector import FaultyCollector
from tests.support.processes import PuttingRows
from tests.support.seeded_random import rounds, seeded_random

RATE = 200


def deliver(folder: Path, url: str) -> None:
    def pause(seconds: float) -> bool:
        time.sleep(min(seconds, 0.05))
        return False

    transport = HttpTransport(url)
    list(deliver_orphans(folder, transport, pause=pause, any_url=True))
    transport.close()


def kill_and_deliver(
    folder: Path | str, faulty: FaultyCollector, *, up: bool, at: int
) -> tuple[list[int], int]:
    """Steps stored in order of arrival, and how many were in the spool before the kill."""
    if not up:
        faulty.stop()
    process = PuttingRows(faulty.url, folder, RATE, 10_000)
    spooled = process.kill_at(at)
    if not up:
        faulty.start()
    if folder != "-":
        deliver(Path(folder), faulty.url)
    rows = [row for row in faulty.rows if row["time"] is not None]
    assert all(row["metrics"] == {"square": float(row["step"] ** 2)} for row in rows)
    faulty.rows.clear()
    return [row["step"] for row in rows], spooled


@pytest.mark.parametrize("up", [True, False], ids=["collector up", "collector down"])
def test_every_row_that_was_written_arrives_once(
    tmp_path: Path, faulty: FaultyCollector, up: bool
) -> None:
    chance = seeded_random()
    for _ in range(rounds(3, 200)):
        at = chance.randrange(1, 90)
        stored, spooled = kill_and_deliver(tmp_path / "spool", faulty, up=up, at=at)
        assert stored == list(range(len(stored)))  # each once, in order, none that was not put
        assert len(stored) >= spooled >= at
        assert not list((tmp_path / "spool").rglob("*.seg"))


def test_control_rows_kept_in_memory_are_lost(faulty: FaultyCollector) -> None:
    stored, spooled = kill_and_deliver("-", faulty, up=False, at=60)
    assert len(stored) < spooled


def test_control_a_collector_that_does_not_count_stores_rows_twice(
    tmp_path: Path, faulty: FaultyCollector
) -> None:
    faulty.forgetful = True
    stored, _ = kill_and_deliver(tmp_path / "spool", faulty, up=True, at=200)
    assert len(stored) > len(set(stored))
