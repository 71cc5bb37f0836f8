"""Steps stored durably per second, and bytes per step."""

from __future__ import annotations

import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx2
import psutil
from collector_load.baselines import BATCH, STEPS, into_postgres, straight_into_sqlite
from collector_load.requests import ARROW, SCALARS, blobs, body, new_run
from collector_load.service import collector, postgres

from htga_client.wire import PREFIX

ROUNDS = 3


def through_the_collector(url: str, process: psutil.Process) -> tuple[float, float]:
    """Steps per second over HTTP, one client, one request in flight; and CPU us per step there."""
    writer, sketches = str(uuid.uuid4()), blobs()
    bodies = [body(writer, first, BATCH, SCALARS, sketches) for first in range(0, STEPS, BATCH)]
    with httpx2.Client(base_url=url + PREFIX, timeout=60) as client:
        run_id = new_run(client, "ingest")
        before, begin = process.cpu_times(), time.perf_counter()
        for one in bodies:
            client.post(f"/runs/{run_id}/rows", content=one, headers=ARROW).raise_for_status()
        seconds, after = time.perf_counter() - begin, process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return STEPS / seconds, cpu / STEPS * 1e6


def ingest() -> None:
    """Both databases against their floors."""
    print(f"{STEPS} steps in requests of {BATCH}, median of {ROUNDS}\n")
    print(
        "| path | steps/s | against the floor | CPU of the collector, us/step |\n|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as name, postgres() as address:
        paths: tuple[tuple[str, tuple[str, ...], Callable[[Path], float]], ...] = (
            ("SQLite", (), straight_into_sqlite),
            ("Postgres", ("--db", address), partial(into_postgres, address)),
        )
        for label, flags, floor in paths:
            folder = Path(name) / label
            with collector(folder, *flags) as (url, process):
                found = [
                    (*through_the_collector(url, process), floor(folder)) for _ in range(ROUNDS)
                ]
            if label == "SQLite":
                size = sum(path.stat().st_size for path in folder.glob("htga.db*"))
            rate, cpu, raw = (statistics.median(column) for column in zip(*found, strict=True))
            ratio = statistics.median(one[0] / one[2] for one in found)
            print(f"| collector over HTTP, {label} | {rate:,.0f} | {ratio:.2f} | {cpu:.1f} |")
            print(f"| floor, {label} | {raw:,.0f} | 1 | |")
    print(f"\nbytes per step in SQLite, all included: {size / (ROUNDS * STEPS):,.0f}")
