"""Read groups of runs with equal settings: the mean over runs, with a 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from htga_client.wire import SCALARS, Axis, GroupBuckets, GroupedSeries, GroupSeries, Run
from htga_client.wire.flat_config import NONE, setting
from htga_server.problems import BadRequest
from htga_server.reads import alignment, series
from htga_server.reads.alignment import Aligned, Floats
from htga_server.reads.mean_interval import mean_interval
from htga_server.reads.series import Range, SeriesRequest
from htga_server.storage.values import to_optional_list
from htga_server.timeseries import rollup
from htga_server.timeseries.rollup import Rollups
from htga_server.timeseries.series import first_row_time
from htga_server.timeseries.snapshot import Snapshot

MAX_RUNS = 500
MAX_POINTS = 2_000_000
"""Maximum runs times keys times buckets; beyond it there are fewer buckets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupQuery:
    """How to group runs, and what to read.

    Attributes:
        by: "group", or "config." and the name of a setting. With "run" among them, or without any,
            each run is alone.
        keys: Scalars and metrics.
        axis: The x axis.
        within: The rows to read.
        buckets: Maximum number of buckets.
    """

    by: Sequence[str]
    keys: Sequence[str]
    axis: Axis
    within: Range
    buckets: int


@dataclass(frozen=True, slots=True)
class Member:
    """A run of a group: its cells with all keys, and the x of each cell."""

    cells: Rollups
    x: Floats


def read(snapshot: Snapshot, runs: Sequence[Run], query: GroupQuery) -> GroupedSeries:
    """Return the mean over the runs of each group, with a 95 % interval.

    The result for a group depends on its own runs alone, not on other groups.

    Args:
        runs: The runs to group; the groups are in the order of their first runs.

    Raises:
        BadRequest: There are too many runs, or no run has one of the keys.
    """
    if len(runs) > MAX_RUNS:
        raise BadRequest(f"more than {MAX_RUNS} runs; choose fewer by state, group or tag")
    known = set(SCALARS).union(*(run.metrics for run in runs))
    unknown = [key for key in query.keys if key not in known]
    if runs and unknown:
        raise BadRequest(f"no run has a key {unknown[0][:80]!r}")
    limit = MAX_POINTS // max(1, len(runs) * len(query.keys))
    query = replace(query, buckets=max(1, min(query.buckets, limit)))
    by_group: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        by_group.setdefault(_values(run, query.by), []).append(run)
    items = tuple(_group(snapshot, own, query) for own in by_group.values())
    return GroupedSeries(
        by=tuple(query.by), axis=query.axis, items=items, damaged=tuple(snapshot.damaged)
    )


def _label(run: Run, by: Sequence[str]) -> str:
    """Return the settings that the runs of a group share, such as `lr=0.1, group=warm`."""
    if _is_alone(by):
        return run.name or run.id
    names = (name.removeprefix("config.") for name in by)
    return ", ".join(f"{name}={v}" for name, v in zip(names, _values(run, by), strict=True))


def _is_alone(by: Sequence[str]) -> bool:
    return not by or "run" in by


def _values(run: Run, by: Sequence[str]) -> tuple[str, ...]:
    if _is_alone(by):
        return (run.id,)
    return tuple(
        (run.group or NONE)
        if name == "group"
        else setting(run.config, name.removeprefix("config."))
        for name in by
    )


def _group(snapshot: Snapshot, runs: Sequence[Run], query: GroupQuery) -> GroupSeries:
    members = _members(snapshot, runs, query)
    x, places = alignment.grid([member.x for member in members], query.buckets)
    on_places = [
        alignment.on_places(member.cells, member.x, at)
        for member, at in zip(members, places, strict=True)
    ]
    keys = {key: _buckets(alignment.align(key, on_places, x)) for key in query.keys}
    if query.axis == "step":  # a bucket is shown at its last row
        x = np.full(x.size, -1.0)
        for cells in on_places:
            x[cells.at] = np.maximum(x[cells.at], cells.step)
    return GroupSeries(
        label=_label(runs[0], query.by),
        members=tuple(run.id for run in runs),
        x=x.tolist(),
        keys=keys,
    )


def _members(snapshot: Snapshot, runs: Sequence[Run], query: GroupQuery) -> list[Member]:
    """Read the runs of a group, along steps on common buckets, along time each on its own."""
    requests = []
    for run in runs:
        own = [key for key in query.keys if key in SCALARS or key in run.metrics]
        requests.append(
            series.resolve(snapshot.connection, run.id, own, query.within) if own else []
        )
    on_buckets = partial(series.on_buckets, snapshot, within=query.within, buckets=query.buckets)
    if query.axis == "step":
        cells = iter(on_buckets([part for parts in requests for part in parts]))
        found = [[next(cells) for _ in parts] for parts in requests]
    else:
        found = [on_buckets(parts) for parts in requests]
    members = [
        _member(snapshot, parts, own, query) for parts, own in zip(requests, found, strict=True)
    ]
    return members if len(members) == 1 else [_in_order(member) for member in members]


def _member(
    snapshot: Snapshot,
    requests: Sequence[SeriesRequest],
    found: Sequence[Rollups],
    query: GroupQuery,
) -> Member:
    labelled = zip((part.labels for part in requests), found, strict=True)
    cells = rollup.join_series(tuple(query.keys), labelled)
    if query.axis == "step":
        return Member(cells, cells.at.astype(np.float64))
    if query.axis == "relative" and requests:
        return Member(cells, cells.time - first_row_time(snapshot, requests[0].series.run_key))
    return Member(cells, cells.time)


def _in_order(member: Member) -> Member:
    """Sort the cells by x, because a resumed run can have earlier times at later steps."""
    order = np.argsort(member.x, kind="stable")
    return Member(member.cells[order], member.x[order])


def _buckets(found: Aligned) -> GroupBuckets:
    """Return one key of all members; None where none of them was measured."""
    interval = mean_interval(found.mean)
    some: NDArray[np.bool_] = np.logical_or.reduce(found.measured, axis=0)
    n = np.where(some, interval.n, 0)
    return GroupBuckets(
        n=n.tolist(),
        mean=to_optional_list(interval.mean, n > 0),
        sd=to_optional_list(interval.sd, n > 1),
        low=to_optional_list(interval.mean - interval.half, n > 1),
        high=to_optional_list(interval.mean + interval.half, n > 1),
        min=to_optional_list(np.fmin.reduce(found.low, axis=0, initial=np.nan), some),
        max=to_optional_list(np.fmax.reduce(found.high, axis=0, initial=np.nan), some),
    )
