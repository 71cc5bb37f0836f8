"""What the databases take by themselves: the same steps, committed as often and as durably."""

from __future__ import annotations

import sqlite3
import struct
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from collector_load.requests import blobs

STEPS, BATCH = 20_000, 2_000


def rows() -> list[tuple[Any, ...]]:
    """The same steps as tuples."""
    generator, sketches = np.random.default_rng(0), blobs()
    return [
        (1, 0, 0, step, 1, step * 0.1, *generator.normal(size=8).tolist(), sketches[step % 50])
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
