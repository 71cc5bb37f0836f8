"""A collector that has taken in more does not hold more."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.support.load import BATCH, Load, running
from tests.support.seeded_random import rounds

WARM, MEASURED = 100, rounds(200, 10_000)
"""Requests of each writer, before its growth is measured and while it is."""
MAX_GROWTH = 16 * 2**20


def growth(folder: Path, *sabotage: str) -> int:
    """Bytes by which the resident memory of a collector grows under load."""
    with running(folder, *sabotage) as collector, Load(collector.url, writers=4) as load:
        process = psutil.Process(collector.process.pid if collector.process else 0)
        for _ in range(WARM):
            load.wait_for_more()
        before = int(process.memory_info().rss)
        for _ in range(MEASURED):
            load.wait_for_more()
        grown = int(process.memory_info().rss) - before
        sent = sum(load.highest.values())
    print(f"{grown / 2**20:.1f} MiB more after {sent - 4 * WARM * BATCH:,} rows")
    return grown


def test_the_memory_of_a_collector_under_load_stays_where_it_is(tmp_path: Path) -> None:
    assert growth(tmp_path) < MAX_GROWTH


def test_control_a_collector_that_keeps_something_of_each_request_grows(tmp_path: Path) -> None:
    assert growth(tmp_path, "leaking") > MAX_GROWTH
