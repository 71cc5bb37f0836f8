"""What the collector answers, made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from htga_client.wire import (
    Buckets,
    GroupBuckets,
    GroupSeries,
    Histograms,
    LayerMap,
    Run,
    Series,
)
from htga_client.wire.histogram import edges, n_bins

RUN_ID = "0196a0c2-0000-7000-8000-000000000001"


def run(**other: Any) -> Run:
    """A run that measured alpha_hat, alpha_bar and grad_norm."""
    known: dict[str, Any] = {
        "id": RUN_ID,
        "project": "digits",
        "name": "quiet-maple",
        "state": "running",
        "group": "",
        "tags": (),
        "config": {},
        "notes": "",
        "environment": {},
        "attempt": 1,
        "created": 1.7e9,
        "updated": 1.7e9 + 60,
        "finished": None,
        "archived": False,
        "last_step": 99,
        "summary": {"alpha_hat": 1.4, "alpha_bar": 1.5, "grad_norm": 0.25},
        "metrics": (),
    }
    return Run(**(known | other))


def series(step: Sequence[int], **keys: Sequence[float | None]) -> Series:
    """A series of raw values, one per step."""
    return Series(
        run_id=RUN_ID,
        layer="",
        step=list(step),
        time=[1.7e9 + at for at in step],
        keys={key: same(values) for key, values in keys.items()},
        buckets=len(step),
        total=len(step),
        cursor=str(step[-1]) if step else None,
    )


def same(values: Sequence[float | None]) -> Buckets:
    """Buckets of one value each."""
    return Buckets(mean=list(values), min=list(values), max=list(values), last=list(values))


def group(x: Sequence[float], **keys: GroupBuckets) -> GroupSeries:
    """Runs in one series."""
    return GroupSeries(label="lr=0.1", members=(RUN_ID,), x=list(x), keys=keys)


def members(
    mean: Sequence[float | None],
    *,
    n: int = 1,
    sd: float = 1.0,
    half: float = 2.0,
    reach: float = 3.0,
) -> GroupBuckets:
    """One key of a group, whose band and extremes are everywhere as far from its mean."""

    def apart(by: float, least: int) -> list[float | None]:
        return [None if value is None or n < least else value + by for value in mean]

    there = [0 if value is None or not math.isfinite(value) else n for value in mean]
    return GroupBuckets(
        n=there,
        mean=[value if here else None for value, here in zip(mean, there, strict=True)],
        sd=[sd if here > 1 else None for here in there],
        low=apart(-half, 2),
        high=apart(half, 2),
        min=apart(-reach, 1),
        max=apart(reach, 1),
    )


def histograms(columns: dict[int, dict[float, int]], *, bits: int = 1) -> Histograms:
    """Histograms by step, each a count by size of |gradient|."""
    sizes = [size for column in columns.values() for size in column]
    index = {size: int(np.float32(size).view(np.uint32)) >> (23 - bits) for size in sizes}
    first, last = min(index.values(), default=0), max(index.values(), default=-1)
    assert last < n_bins(bits)
    counts = np.zeros((len(columns), last - first + 1), int)
    for row, column in zip(counts, columns.values(), strict=True):
        for size, count in column.items():
            row[index[size] - first] += count
    return Histograms(
        run_id=RUN_ID,
        layer="",
        step=list(columns),
        edges=edges(bits, first, last - first + 1).tolist(),
        counts=counts.tolist(),
        n_zero=[0] * len(columns),
        n_nonfinite=[0] * len(columns),
        total=len(columns),
        cursor=str(max(columns)) if columns else None,
    )


def layer_map(key: str = "alpha_hat", /, **layers: Sequence[float | None]) -> LayerMap:
    """Raw values of layers, a step apart."""
    values = [list(row) for row in layers.values()]
    steps = len(values[0]) if values else 0
    return LayerMap(
        run_id=RUN_ID,
        key=key,
        rank=0,
        step=list(range(steps)),
        layers=list(layers),
        mean=values,
        min=values,
        max=values,
    )
