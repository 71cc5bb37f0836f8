"""Segments of numbered rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from htga_client.spool.segment import Segment
from htga_client.wire.row_encoder import record_batch


def write(segment: Segment, sizes: Sequence[int]) -> None:
    """A frame of so many rows for each size."""
    for size in sizes:
        first = segment.end
        rows: list[dict[str, Any]] = [
            {"step": first + i, "metrics": {"x": 1.0}} for i in range(size)
        ]
        segment.append(record_batch(rows))


def steps(segment: Segment, seq: int = 0, *, rows: int = 10**6, size: int = 10**9) -> list[int]:
    """Steps of all rows from number `seq` on, read in chunks; a row's step is its number."""
    found: list[int] = []
    while seq < segment.end and (chunk := segment.read(seq, rows=rows, size=size)) is not None:
        assert chunk.first == seq
        assert chunk.rows <= rows
        found += [step for batch in chunk.batches for step in batch["step"].to_pylist()]
        seq = chunk.end
    return found
