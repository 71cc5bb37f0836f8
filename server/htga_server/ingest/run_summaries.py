"""Keep the summary of a run: its last step, and the last, least and greatest value of each key."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_server.ingest.sequencing import SequencedBatch
from htga_server.storage.tables import runs
from htga_server.storage.values import to_json
from htga_server.timeseries.row_batch import Ints, Rows
from htga_server.timeseries.series import last_values
from htga_server.timeseries.series_key import LAYERS, METRICS, SeriesKey, SeriesKind

Values = dict[str, float]

# Built once, because building a statement takes longer than executing it.
_UPDATE = (
    sa.update(runs)
    .where(runs.c.run_key == sa.bindparam("key"))
    .values(
        {name: sa.bindparam(name) for name in ("updated", "last_step", "summary", "low", "high")}
    )
    .values(rows=runs.c.rows + sa.bindparam("accepted"))
    .values(bytes=runs.c.bytes + sa.bindparam("size"))
    .values(archived=False)  # the archive no longer holds all of it
)


class Extremes:
    """Last, least and greatest values of a run by key.

    Attributes:
        reread: Names of series of which rows came that are not beyond all stored ones. Which value
            is the last there depends on the column and on the attempts.
    """

    def __init__(self) -> None:
        self.last: Values = {}
        self.low: Values = {}
        self.high: Values = {}
        self.reread: set[tuple[SeriesKind, str]] = set()

    def add(self, key: str, last: float, low: float, high: float) -> None:
        """Add the values of a key."""
        self.last[key], self.low[key], self.high[key] = last, low, high


def update_runs(
    connection: sa.Connection,
    batches: Mapping[int, SequencedBatch],
    rows: Mapping[SeriesKind, Rows],
    ends: Mapping[SeriesKind, Ints],
    ids: Mapping[tuple[int, str], Mapping[str, int]],
) -> None:
    """Update the summaries of the runs that got new rows.

    Args:
        batches: Batches with new rows by number of the request. Of those of one run at most one
            has rank 0, whose values are the run's.
        ends: The last step of each series in `rows` before they were stored, or -1.
        ids: By run and kind, the numbers of names.
    """
    by_run: dict[int, list[SequencedBatch]] = defaultdict(list)
    for one in batches.values():
        by_run[one.run.run_key].append(one)
    run_of = {number: one.run.run_key for number, one in batches.items()}
    found: dict[int, Extremes] = defaultdict(Extremes)
    for kind, own in rows.items():
        # The values of a run are those of the whole model, not of single layers.
        shown = np.array([kind is METRICS or name == "" for name in own.names], np.bool_)
        of_run = (own.rank == 0) & shown[own.name]
        _extremes(own, of_run, ends[kind], kind=kind, run_of=run_of, found=found)
    now = time.time()
    updates = []
    for key, requests in by_run.items():
        run, seen = requests[0].run, found[key]
        reached = _latest(one.checked.last_step for one in requests)
        summary: dict[str, Any] = {**run.summary, **seen.last}
        for kind, name in seen.reread:
            series = SeriesKey(kind, key, ids[key, kind.name][name], 0)
            summary |= _reread(connection, series, name, summary)
        updates.append(
            {
                "key": key,
                "updated": now,
                "accepted": sum(one.accepted for one in requests),
                "size": sum(one.batch.size for one in requests),
                "last_step": _latest((reached, run.last_step)),
                "summary": _as_json({k: v for k, v in summary.items() if v is not None}),
                "low": _as_json(_merged(np.fmin, seen.low, run.low)),
                "high": _as_json(_merged(np.fmax, seen.high, run.high)),
            }
        )
    if updates:
        connection.execute(_UPDATE, updates)


def _reread(
    connection: sa.Connection, series: SeriesKey, name: str, summary: Mapping[str, Any]
) -> dict[str, float | None]:
    """Return the last values of a series by the keys of the summary."""
    if series.kind is METRICS:
        return {name: last_values(connection, series, METRICS.keys)["value"]}
    return last_values(connection, series, [key for key in LAYERS.keys if key in summary])


def _latest(steps: Iterable[int | None]) -> int | None:
    return max((step for step in steps if step is not None), default=None)


def _extremes(
    rows: Rows,
    which: NDArray[np.bool_],
    ends: Ints,
    *,
    kind: SeriesKind,
    run_of: Mapping[int, int],
    found: dict[int, Extremes],
) -> None:
    """Add the extremes of each column to those of its run; the key of a metric is its name."""
    if not which.any():
        return
    ends = ends[[bool(which[where.start]) for where in rows.series()]]
    rows = rows[which]
    slices = list(rows.series())
    first = np.array([where.start for where in slices])
    last = np.array([where.stop for where in slices]) - 1
    run_keys = [run_of[number] for number in rows.source[first].tolist()]
    names = [rows.names[at] for at in rows.name[first].tolist()]
    for run_key, name, late in zip(
        run_keys, names, (rows.step[first] <= ends).tolist(), strict=True
    ):
        if late:
            found[run_key].reread.add((kind, name))
    for key, (values, measured) in rows.values().items():
        least: NDArray[np.float64] = values
        at = last
        if not measured.all():
            least = np.where(measured, values, np.nan)
            at = np.maximum.reduceat(np.where(measured, np.arange(rows.size), -1), first)
        low, high = np.fmin.reduceat(least, first), np.fmax.reduceat(least, first)
        for run_key, name, there, *three in zip(
            run_keys,
            names,
            (at >= first).tolist(),
            values[at].tolist(),
            low.tolist(),
            high.tolist(),
            strict=True,
        ):
            if there:
                found[run_key].add(name or key, *three)


def _merged(choose: np.ufunc, new: Values, old: Mapping[str, Any]) -> Values:
    merged = {key: float(value) for key, value in old.items()}
    for key, value in new.items():
        merged[key] = float(choose(value, merged.get(key, value)))
    return merged


def _as_json(values: Mapping[str, Any]) -> dict[str, float | str]:
    return {key: to_json(float(value)) for key, value in values.items()}
