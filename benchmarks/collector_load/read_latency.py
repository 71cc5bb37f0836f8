"""How long a reader waits."""

from __future__ import annotations

import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from collector_load.requests import ARROW, SCALARS, body, new_run
from collector_load.service import collector

from htga_client.wire import ARROW_STREAM, PREFIX, histogram

LENGTHS, LONGEST = (10_000, 100_000, 1_000_000), 10_000_000
RUNS = 1000


def milliseconds(ask: Callable[[], Any], times: int = 15) -> float:
    """Median time of a request."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1e3


def series(lengths: Sequence[int] = LENGTHS) -> None:
    """Four keys in 1,200 buckets, and histograms in 400, of ever longer runs."""
    print(
        "| steps | series, JSON ms | series, Arrow ms | buckets | histograms ms |"
        " stored in s | database MB |\n|---|---|---|---|---|---|---|"
    )
    with (
        tempfile.TemporaryDirectory() as name,
        collector(Path(name)) as (url, _),
        httpx2.Client(base_url=url + PREFIX, timeout=120) as client,
    ):
        for steps in lengths:
            run_id, writer = new_run(client, str(steps)), str(uuid.uuid4())
            sketches = [histogram.encode([5, 9, 40, 7, 1], bits=3, first=900 + i) for i in range(9)]
            begin = time.perf_counter()
            for first in range(0, steps, 10_000):
                sent = body(writer, first, 10_000, SCALARS[:4], sketches)
                client.post(f"/runs/{run_id}/rows", content=sent, headers=ARROW).raise_for_status()
            seconds = time.perf_counter() - begin
            where = f"/runs/{run_id}/series"
            params = {"keys": ",".join(SCALARS[:4]), "buckets": "1200"}
            by_text = milliseconds(partial(client.get, where, params=params))
            binary = milliseconds(
                partial(client.get, where, params=params, headers={"accept": ARROW_STREAM})
            )
            buckets = client.get(where, params=params).json()["buckets"]
            maps = milliseconds(partial(client.get, f"/runs/{run_id}/histograms"), 5)
            size = sum(path.stat().st_size for path in Path(name).glob("htga.db*")) / 1e6
            print(
                f"| {steps:,} | {by_text:.1f} | {binary:.1f} | {buckets} | {maps:.1f} |"
                f" {seconds:.0f} | {size:,.0f} |",
                flush=True,
            )


def listing() -> None:
    """A page of 1,000 runs with their last, least and greatest values."""
    with (
        tempfile.TemporaryDirectory() as name,
        collector(Path(name)) as (url, _),
        httpx2.Client(base_url=url + PREFIX, timeout=120) as client,
    ):
        for number in range(RUNS):
            run_id, writer = new_run(client, f"run-{number}"), str(uuid.uuid4())
            sent = body(writer, 0, 3, SCALARS[:4], [])
            client.post(f"/runs/{run_id}/rows", content=sent, headers=ARROW).raise_for_status()
        taken = milliseconds(lambda: client.get("/runs", params={"limit": RUNS}))
        print(f"{RUNS} runs with their values: {taken:.1f} ms")
