"""A thousand runs that send at once."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import numpy as np
from collector_load.requests import SCALARS, body, new_run
from collector_load.service import collector

from htga_client.http.backoff import jittered
from htga_client.sender.uploader import MAX_INTERVAL
from htga_client.wire import ARROW_STREAM, PREFIX

RUNS, SECONDS, WARM = 1000, 60, 12.0
FIRST = 2.0
"""Seconds within which all runs send their first request."""


async def post(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str, content: bytes
) -> tuple[int, float]:
    """Post rows over a connection, by hand for a client costs what the collector does.

    Returns:
        The status, and the seconds to wait before the next request.
    """
    reader, writer = streams
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {ARROW_STREAM}\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
    said = dict(line.split(": ", 1) for line in lines[1:] if line)
    answer = json.loads(await reader.readexactly(int(said["content-length"])))
    pause = max(
        float(said.get("retry-after", 0)), jittered(min(answer["min_interval"], MAX_INTERVAL))
    )
    return int(lines[0].split()[1]), pause


@dataclass(slots=True)
class ManyWriters:
    """A thousand senders, and what they have seen.

    Attributes:
        taken: When each request began, and the seconds until its answer.
        acked: Steps that were acknowledged.
        deferred: Requests that were answered otherwise.
    """

    taken: list[tuple[float, float]] = field(default_factory=list)
    acked: int = 0
    deferred: int = 0

    async def send(self, port: int, run_id: str, begin: float) -> None:
        """Log ten steps a second, and send them as our client does while the run is not viewed."""
        own, acked, due = str(uuid.uuid4()), 0, begin + FIRST
        streams = await asyncio.open_connection("127.0.0.1", port)
        while due < begin + SECONDS:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            logged = int(10 * (time.perf_counter() - begin))
            content = body(own, acked, logged - acked, SCALARS, [])
            started = time.perf_counter()
            status, pause = await post(streams, f"{PREFIX}/runs/{run_id}/rows", content)
            self.taken.append((started, time.perf_counter() - started))
            due = time.perf_counter() + pause
            self.acked += (logged - acked) * (status == 200)
            self.deferred += status != 200
            acked = logged if status == 200 else acked
        streams[1].close()

    async def run(self, url: str) -> None:
        """Register the runs, and let all of them begin within `FIRST`."""
        with httpx2.Client(base_url=url + PREFIX, timeout=60) as plain:
            ids = [new_run(plain, f"run-{number}") for number in range(RUNS)]
        port, begin = int(url.rsplit(":", 1)[1]), time.perf_counter()
        await asyncio.gather(
            *(self.send(port, r, begin + FIRST * i / RUNS) for i, r in enumerate(ids))
        )


def many() -> None:
    """1,000 runs at once, ten steps a second each.

    Each sends as often as our client, or as seldom as the collector asks for; the steps between,
    and those of a request that is put off, go with the next. The seconds in which the collector
    first sees that there are so many stand apart.
    """
    writers = ManyWriters()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with collector(folder) as (url, process):
            before = sum(process.cpu_times()[:2])
            asyncio.run(writers.run(url))
            cpu = sum(process.cpu_times()[:2]) - before
        with sqlite3.connect(folder / "htga.db") as plain:
            stored = plain.execute("SELECT count(*) FROM steps").fetchone()[0]
    when, taken = np.array(writers.taken).T
    when -= when[0]
    rate = writers.acked / when[-1]
    print(f"{RUNS} runs, {rate:,.0f} steps/s; {writers.deferred} requests deferred;")
    print(f"{writers.acked - stored} acknowledged steps lost;")
    print(f"CPU of the collector {cpu / len(taken) * 1e3:.2f} ms per request\n")
    print("| seconds | requests/s | answer, p50 ms | p99 ms |\n|---|---|---|---|")
    for first, last in ((0.0, WARM), (WARM, float(when[-1]))):
        some = taken[(when >= first) & (when < last)] * 1e3
        p50, p99 = np.percentile(some, [50, 99])
        rate = some.size / (last - first)
        print(f"| {first:.0f} to {last:.0f} | {rate:,.0f} | {p50:.1f} | {p99:.1f} |")
