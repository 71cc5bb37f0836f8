"""What a run is listed with: how far it is, and what it measured last, at least and at most."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_server.admission import Admitted
from htga_server.columns import to_json
from htga_server.rows import Rows
from htga_server.tables import runs

Values = dict[str, float]

# Built once: building a statement takes longer than executing it.
_TOUCH = (
    sa.update(runs)
    .where(runs.c.run_key == sa.bindparam("key"))
    .values(
        {name: sa.bindparam(name) for name in ("updated", "last_step", "summary", "low", "high")}
    )
    .values(rows=runs.c.rows + sa.bindparam("accepted"))
    .values(bytes=runs.c.bytes + sa.bindparam("size"))
    .values(archived=False)  # what the archive holds is no longer all of it
)


class Extremes:
    """Last, least and greatest values by key."""

    def __init__(self) -> None:
        self.last: Values = {}
        self.low: Values = {}
        self.high: Values = {}

    def add(self, key: str, last: float, low: float, high: float) -> None:
        """Note those of a key."""
        self.last[key], self.low[key], self.high[key] = last, low, high


def touch(
    connection: sa.Connection, admitted: Mapping[int, Admitted], steps: Rows, metrics: Rows
) -> None:
    """Note on each run how far it is and what it measured.

    Args:
        admitted: By number of the request, what brought new rows; of those of one run at most one
            is of rank 0, whose values are the run's.
        steps, metrics: The rows.
    """
    together: dict[int, list[Admitted]] = defaultdict(list)
    for one in admitted.values():
        together[one.run.run_key].append(one)
    run_of = {number: one.run.run_key for number, one in admitted.items()}
    found: dict[int, Extremes] = defaultdict(Extremes)
    whole = np.array([name == "" for name in steps.names], np.bool_)
    _extremes(steps[(steps.rank == 0) & whole[steps.name]], run_of, found)
    _extremes(metrics[metrics.rank == 0], run_of, found)
    now = time.time()
    touched = []
    for key, requests in together.items():
        run, own = requests[0].run, found[key]
        reached = _latest(one.checked.last_step for one in requests)
        late = (reached or 0) < (run.last_step or 0)
        last = {**own.last, **run.summary} if late else {**run.summary, **own.last}
        touched.append(
            {
                "key": key,
                "updated": now,
                "accepted": sum(one.accepted for one in requests),
                "size": sum(one.batch.size for one in requests),
                "last_step": _latest((reached, run.last_step)),
                "summary": _as_json(last),
                "low": _as_json(_merged(np.fmin, own.low, run.low)),
                "high": _as_json(_merged(np.fmax, own.high, run.high)),
            }
        )
    if touched:
        connection.execute(_TOUCH, touched)


def _latest(steps: Iterable[int | None]) -> int | None:
    return max((step for step in steps if step is not None), default=None)


def _extremes(rows: Rows, run_of: Mapping[int, int], found: dict[int, Extremes]) -> None:
    """Those of each column of each track, by run; a metric goes by its name."""
    tracks = list(rows.tracks())
    if not tracks:
        return
    first = np.array([where.start for where in tracks])
    last = np.array([where.stop for where in tracks]) - 1
    run_keys = [run_of[number] for number in rows.source[first].tolist()]
    names = [rows.names[at] for at in rows.name[first].tolist()]
    for key, (values, measured) in rows.values().items():
        least: NDArray[np.float64] = values
        at = last
        if not measured.all():
            least = np.where(measured, values, np.nan)
            at = np.maximum.reduceat(np.where(measured, np.arange(rows.size), -1), first)
        low, high = np.fmin.reduceat(least, first), np.fmax.reduceat(least, first)
        latest = values[at].tolist()
        for run_key, name, there, *three in zip(
            run_keys,
            names,
            (at >= first).tolist(),
            latest,
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
