"""Runs that have settings in common, as one series: the mean over seeds, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.wire import SCALARS, Axis, GroupBuckets, GroupedSeries, GroupSeries, Run
from htga_client.wire.flat_config import NONE, setting
from htga_server.problems import BadRequest
from htga_server.reads import alignment, series
from htga_server.reads.alignment import Aligned, Floats
from htga_server.reads.mean_interval import spread
from htga_server.reads.series import Asked, Range
from htga_server.storage.values import optional
from htga_server.timeseries import rollup as pyramid
from htga_server.timeseries import series as tracks
from htga_server.timeseries.rollup import Cells

MOST_RUNS = 500
MOST_POINTS = 2_000_000
"""Runs times keys times buckets; with more, the buckets are fewer than asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to read of groups.

    Attributes:
        by: As in the address: "group", or "config." and the name of a setting. With "run" among
            them, or without any, each run is alone.
        keys: Scalars and metrics.
        axis: What the runs are laid along.
        within: Which of their rows.
        buckets: At most.
    """

    by: Sequence[str]
    keys: Sequence[str]
    axis: Axis
    within: Range
    buckets: int


@dataclass(frozen=True, slots=True)
class Member:
    """A run of a group: its cells with all keys, and where on the axis each of them is."""

    cells: Cells
    x: Floats


def read(connection: sa.Connection, runs: Sequence[Run], wanted: Wanted) -> GroupedSeries:
    """The mean over the runs of each group, with a 95 % interval.

    What is said of a group depends on its own runs alone, not on what else is asked for.

    Args:
        runs: What is put into groups, in the order of their first runs.

    Raises:
        BadRequest: There are too many runs, or none of them has one of the keys.
    """
    if len(runs) > MOST_RUNS:
        raise BadRequest(f"more than {MOST_RUNS} runs; choose fewer by state, group or tag")
    known = set(SCALARS).union(*(run.metrics for run in runs))
    unknown = [key for key in wanted.keys if key not in known]
    if runs and unknown:
        raise BadRequest(f"no run has a key {unknown[0][:80]!r}")
    most = MOST_POINTS // max(1, len(runs) * len(wanted.keys))
    wanted = replace(wanted, buckets=max(1, min(wanted.buckets, most)))
    together: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        together.setdefault(_values(run, wanted.by), []).append(run)
    items = tuple(_group(connection, own, wanted) for own in together.values())
    return GroupedSeries(by=tuple(wanted.by), axis=wanted.axis, items=items)


def _label(run: Run, by: Sequence[str]) -> str:
    """What the runs of a group have in common, in words: `lr=0.1, group=warm`."""
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


def _group(connection: sa.Connection, runs: Sequence[Run], wanted: Wanted) -> GroupSeries:
    members = _members(connection, runs, wanted)
    x, places = alignment.grid([member.x for member in members], wanted.buckets)
    on_places = [
        alignment.on_places(member.cells, member.x, at)
        for member, at in zip(members, places, strict=True)
    ]
    keys = {key: _buckets(alignment.align(key, on_places, x)) for key in wanted.keys}
    if wanted.axis == "step":  # a bucket is shown at its last row
        x = np.full(x.size, -1.0)
        for cells in on_places:
            x[cells.at] = np.maximum(x[cells.at], cells.step)
    return GroupSeries(
        label=_label(runs[0], wanted.by),
        members=tuple(run.id for run in runs),
        x=x.tolist(),
        keys=keys,
    )


def _members(connection: sa.Connection, runs: Sequence[Run], wanted: Wanted) -> list[Member]:
    """The runs of a group: along steps on common buckets, along time each on its own."""
    asked = []
    for run in runs:
        own = [key for key in wanted.keys if key in SCALARS or key in run.metrics]
        asked.append(series.asked(connection, run.id, own, wanted.within) if own else [])
    on_buckets = partial(
        series.on_buckets, connection, within=wanted.within, buckets=wanted.buckets
    )
    if wanted.axis == "step":
        cells = iter(on_buckets([part for parts in asked for part in parts]))
        found = [[next(cells) for _ in parts] for parts in asked]
    else:
        found = [on_buckets(parts) for parts in asked]
    members = [
        _member(connection, parts, own, wanted) for parts, own in zip(asked, found, strict=True)
    ]
    return members if len(members) == 1 else [_in_order(member) for member in members]


def _member(
    connection: sa.Connection, asked: Sequence[Asked], found: Sequence[Cells], wanted: Wanted
) -> Member:
    labelled = zip((part.labels for part in asked), found, strict=True)
    cells = pyramid.beside(tuple(wanted.keys), labelled)
    if wanted.axis == "step":
        return Member(cells, cells.at.astype(np.float64))
    if wanted.axis == "relative" and asked:
        return Member(cells, cells.time - tracks.begin(connection, asked[0].track.run_key))
    return Member(cells, cells.time)


def _in_order(member: Member) -> Member:
    """Its cells by x: a resumed run can have earlier times at later steps."""
    order = np.argsort(member.x, kind="stable")
    return Member(member.cells[order], member.x[order])


def _buckets(found: Aligned) -> GroupBuckets:
    """One key of all members; None where none of them was measured."""
    over = spread(found.mean)
    some: NDArray[np.bool_] = np.logical_or.reduce(found.measured, axis=0)
    n = np.where(some, over.n, 0)
    return GroupBuckets(
        n=n.tolist(),
        mean=optional(over.mean, n > 0),
        sd=optional(over.sd, n > 1),
        low=optional(over.mean - over.half, n > 1),
        high=optional(over.mean + over.half, n > 1),
        min=optional(np.fmin.reduce(found.low, axis=0, initial=np.nan), some),
        max=optional(np.fmax.reduce(found.high, axis=0, initial=np.nan), some),
    )
