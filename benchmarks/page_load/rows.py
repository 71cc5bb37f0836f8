"""Runs and rows as HTGA's probe sends them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa

from htga_client.wire import ARROW_STREAM, PREFIX, ROWS
from htga_client.wire.histogram import encode

BATCH = 20_000
SPIKE = 250.0


def register(url: str, client: Any = httpx2) -> str:
    """Register a run; return its id."""
    run = str(uuid.uuid4())
    body = {"id": run, "project": "benchmark", "name": run[:8], "config": {"lr": 0.1}}
    assert client.post(f"{url}{PREFIX}/runs", json=body).status_code == 201
    return run


def steps(start: int, stop: int) -> list[dict[str, Any]]:
    """Rows as HTGA's probe sends them, with two metrics."""
    random = np.random.default_rng(start)
    counts = (1000 * np.exp(-(((np.arange(120) - 60) / 20) ** 2))).astype(int).tolist()
    histogram = encode(counts, bits=3, first=880)
    noise = random.standard_normal((stop - start, 4)).tolist()
    return [
        {
            "step": step,
            "alpha_hat": 1.6 + 0.1 * a,
            "alpha_bar": 1.6 + 0.01 * a,
            "gamma": 1 + 0.01 * b,
            "beta": 0.1,
            "target_alpha": 1.5,
            "update_alpha": 1.5,
            "grad_norm": float(np.exp(0.2 * c)),
            "grad_norm_var": 0.01,
            "histogram": histogram,
            "metrics": [("loss", 2.0 + 0.1 * d), ("accuracy", 0.5)],
        }
        for step, (a, b, c, d) in enumerate(noise, start)
    ]


def send(url: str, run: str, rows: Sequence[dict[str, Any]], client: Any = httpx2) -> None:
    """Send rows; return when they are committed."""
    table = pa.Table.from_pylist(list(rows), ROWS)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    answer = client.post(
        f"{url}{PREFIX}/runs/{run}/rows",
        content=sink.getvalue().to_pybytes(),
        headers={"content-type": ARROW_STREAM},
        timeout=60,
    )
    assert answer.json()["accepted"] == len(rows)
