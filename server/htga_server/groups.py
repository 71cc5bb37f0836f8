"""Runs that have a setting in common, as one series: the mean over seeds, and how sure it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.spread import spread
from htga_client.wire import SCALARS, GroupBuckets, GroupedSeries, GroupSeries, Run
from htga_server import pyramid, series
from htga_server.columns import optional
from htga_server.problems import BadRequest
from htga_server.pyramid import Cells
from htga_server.series import Range

MOST_RUNS = 500
MOST_POINTS = 2_000_000
"""Runs times keys times buckets; with more, the buckets are fewer than asked for."""

Floats = NDArray[np.float64]
Member = dict[str, Cells]
"""The cells of one run by key, each a bucket."""


def read(
    connection: sa.Connection,
    runs: Sequence[Run],
    *,
    project: str,
    by: str,
    keys: Sequence[str],
    within: Range,
    buckets: int,
) -> GroupedSeries:
    """The mean over the runs of each group, with a 95 % interval, on buckets common to all.

    Args:
        runs: What is put into groups.
        by: "group", or "config." and the name of a setting; what is nested is named with dots.

    Raises:
        BadRequest: There are too many runs, or none of them has one of the keys.
    """
    if len(runs) > MOST_RUNS:
        raise BadRequest(f"more than {MOST_RUNS} runs; choose fewer by state, group or tag")
    asked = {}
    for run in runs:
        own = [key for key in keys if key in SCALARS or key in run.metrics]
        asked[run.id] = series.asked(connection, run.id, own, within) if own else []
    known = set(SCALARS).union(*(run.metrics for run in runs))
    unknown = [key for key in keys if key not in known]
    if runs and unknown:
        raise BadRequest(f"no run has a key {unknown[0][:80]!r}")
    parts = [part for own in asked.values() for part in own]
    first = min((part.first for part in parts), default=0)
    last = max((part.last for part in parts), default=-1)
    start, stop = within.within(first, last)
    most = max(1, min(buckets, MOST_POINTS // max(1, len(runs) * len(keys))))
    width, level = pyramid.grid(start, max(start, stop), most)

    def member(run: Run) -> Member:
        found: Member = {}
        for part in asked[run.id]:
            merged = pyramid.merge(part.cells(connection, start, stop, level), width)
            found |= {
                label: pyramid.concatenate((key,), [merged])
                for label, key in zip(part.labels, part.keys, strict=True)
            }
        return found

    together: dict[str, list[Run]] = {}
    for run in runs:
        together.setdefault(label_of(run, by), []).append(run)
    return GroupedSeries(
        project=project,
        by=by,
        items=tuple(
            _group(label, own, [member(run) for run in own], keys, width)
            for label, own in together.items()
        ),
    )


def label_of(run: Run, by: str) -> str:
    """The value, in words, that a run is grouped by; empty where it has none."""
    if by == "group":
        return run.group
    value: Any = run.config
    for name in by.removeprefix("config.").split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _group(
    label: str, runs: Sequence[Run], members: Sequence[Member], keys: Sequence[str], width: int
) -> GroupSeries:
    cells = [own for member in members for own in member.values()]
    bucket = np.unique(np.concatenate([np.zeros(0, np.int64), *(c.at // width for c in cells)]))
    step = np.full(bucket.size, -1)
    for own in cells:
        np.maximum.at(step, np.searchsorted(bucket, own.at // width), own.step)
    return GroupSeries(
        label=label,
        members=tuple(run.id for run in runs),
        step=step.tolist(),
        keys={key: _buckets([m[key] for m in members if key in m], bucket, width) for key in keys},
    )


def _buckets(cells: Sequence[Cells], bucket: NDArray[np.int64], width: int) -> GroupBuckets:
    """One key of all members on the buckets of their group."""
    shape = (len(cells), bucket.size)
    mean, least, most = (np.full(shape, np.nan) for _ in range(3))
    measured = np.zeros(shape, np.bool_)
    for row, own in enumerate(cells):
        place, stats = np.searchsorted(bucket, own.at // width), own.stats[:, 0]
        measured[row, place] = stats["count"] > 0
        with np.errstate(invalid="ignore"):
            mean[row, place] = stats["total"] / np.maximum(stats["count"], 1)
        least[row, place], most[row, place] = stats["low"], stats["high"]
    found = spread(np.where(measured, mean, np.nan))
    n, middle = found.n, found.mean
    some: NDArray[np.bool_] = np.logical_or.reduce(measured, axis=0)
    low = np.fmin.reduce(least, axis=0, initial=np.nan)
    high = np.fmax.reduce(most, axis=0, initial=np.nan)
    return GroupBuckets(
        n=n.tolist(),
        mean=optional(middle, n > 0),
        sd=optional(found.sd, n > 1),
        low=optional(middle - found.half, n > 1),
        high=optional(middle + found.half, n > 1),
        min=optional(low, some),
        max=optional(high, some),
    )
