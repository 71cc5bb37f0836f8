"""Steps stored durably per second: through a real collector, against raw sqlite3 in this process.

Each step carries eight scalars and a histogram of about 200 bins. "Stored" means that the collector
has answered, which it does after the commit has reached the disk; the floor commits as often and
as durably (WAL, synchronous=FULL), so the ratio is what validation, HTTP and the tables cost.
"""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
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


def batches(writer: str) -> list[bytes]:
    """The requests of one run, encoded beforehand: the client's cost is another benchmark's."""
    dice = np.random.default_rng(0)
    blobs = [
        histogram.encode(dice.poisson(2000, 200).tolist(), bits=3, first=800) for _ in range(50)
    ]
    bodies = []
    for first in range(0, STEPS, BATCH):
        step = np.arange(first, first + BATCH)
        columns: dict[str, Any] = {name: dice.normal(size=BATCH) for name in SCALARS}
        columns |= {"step": step, "time": step * 0.1}
        table = pa.table(
            {
                field.name: pa.array(columns[field.name], field.type)
                for field in ROWS
                if field.name in columns
            }
            | {"histogram": pa.array([blobs[i % 50] for i in step], pa.binary())}
        ).replace_schema_metadata({WRITER: writer, FIRST_SEQ: str(first)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as out:
            out.write_table(table)
        bodies.append(sink.getvalue().to_pybytes())
    return bodies


def through_the_collector(url: str) -> float:
    """Steps per second over HTTP, one client, one request in flight."""
    run_id, writer = str(uuid.uuid4()), str(uuid.uuid4())
    bodies = batches(writer)
    with httpx2.Client(base_url=url + PREFIX, timeout=60) as client:
        client.post("/runs", json={"id": run_id, "project": "benchmark", "name": "ingest"})
        begin = time.perf_counter()
        for body in bodies:
            answer = client.post(
                f"/runs/{run_id}/rows", content=body, headers={"content-type": ARROW_STREAM}
            )
            answer.raise_for_status()
        seconds = time.perf_counter() - begin
    return STEPS / seconds


def straight_into_sqlite(folder: Path) -> float:
    """Steps per second by `executemany` of tuples made beforehand."""
    dice = np.random.default_rng(0)
    blob = histogram.encode(dice.poisson(2000, 200).tolist(), bits=3, first=800)
    rows = [
        (1, 0, 0, step, 1, step * 0.1, *dice.normal(size=8).tolist(), blob) for step in range(STEPS)
    ]
    path = folder / f"{uuid.uuid4().hex}.db"
    connection = sqlite3.connect(path, isolation_level=None)
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
        connection.executemany(insert, rows[first : first + BATCH])
        connection.execute("COMMIT")
    seconds = time.perf_counter() - begin
    connection.close()
    return STEPS / seconds


def main() -> None:
    """Alternate the two, and print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = ["-m", "htga.cli.main", "up", "--port", "0", "--no-dashboard", "--data", name]
        server = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        try:
            url = server.stdout.readline().split()[3] if server.stdout else ""
            pairs = [
                (through_the_collector(url), straight_into_sqlite(folder)) for _ in range(ROUNDS)
            ]
        finally:
            server.terminate()
            server.wait()
        size = sum(path.stat().st_size for path in folder.glob("htga.db*"))
    collector, floor = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{describe()}; {STEPS} steps in requests of {BATCH}, median of {ROUNDS}\n")
    print("| path | steps/s | against raw sqlite3 |\n|---|---|---|")
    print(f"| collector over HTTP, SQLite | {collector:,.0f} | {ratio:.2f} |")
    print(f"| sqlite3 executemany in process | {floor:,.0f} | 1 |")
    print(f"\nbytes per step in the database: {size / (ROUNDS * STEPS):,.0f}")


if __name__ == "__main__":
    main()
