"""What is sent to a collector."""

from __future__ import annotations

import uuid
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa

from htga_client.wire import ARROW_STREAM, FIRST_SEQ, ROWS, WRITER, histogram

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


def blobs() -> list[bytes]:
    """Histograms of 200 bins, about 400 bytes each."""
    generator = np.random.default_rng(0)
    return [
        histogram.encode(generator.poisson(2000, 200).tolist(), bits=3, first=800)
        for _ in range(50)
    ]


def body(writer: str, first: int, rows: int, keys: tuple[str, ...], sketches: list[bytes]) -> bytes:
    """One request."""
    generator, step = np.random.default_rng(first), np.arange(first, first + rows)
    columns: dict[str, Any] = {name: generator.normal(size=rows) for name in keys}
    columns |= {"step": step, "time": step * 0.1}
    arrays = {f.name: pa.array(columns[f.name], f.type) for f in ROWS if f.name in columns}
    if sketches:
        arrays["histogram"] = pa.array([sketches[i % len(sketches)] for i in step], pa.binary())
    table = pa.table(arrays).replace_schema_metadata({WRITER: writer, FIRST_SEQ: str(first)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def new_run(client: httpx2.Client, name: str) -> str:
    """Register a run; returns its id."""
    run_id = str(uuid.uuid4())
    client.post("/runs", json={"id": run_id, "project": "benchmark", "name": name})
    return run_id
