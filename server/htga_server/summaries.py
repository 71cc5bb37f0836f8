"""What a run is listed with: how far it is, and what it measured last, at least and at most."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
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
        admitted: By number of the request, what brought new rows.
        steps, metrics: The rows.
    """
    found: dict[int, Extremes] = defaultdict(Extremes)
    whole = np.array([name == "" for name in steps.names], np.bool_)
    _extremes(steps[(steps.rank == 0) & whole[steps.name]], found)
    _extremes(metrics[metrics.rank == 0], found)
    now = time.time()
    touched = []
    for number, one in admitted.items():
        run, own, reached = one.run, found[number], one.checked.last_step
        late = (reached or 0) < (run.last_step or 0)
        last = {**own.last, **run.summary} if late else {**run.summary, **own.last}
        touched.append(
            {
                "key": run.run_key,
                "updated": now,
                "accepted": one.accepted,
                "last_step": max(
                    (step for step in (reached, run.last_step) if step is not None), default=None
                ),
                "summary": _as_json(last),
                "low": _as_json(_merged(np.fmin, own.low, run.low)),
                "high": _as_json(_merged(np.fmax, own.high, run.high)),
            }
        )
    if touched:
        connection.execute(_TOUCH, touched)


def _extremes(rows: Rows, found: dict[int, Extremes]) -> None:
    """Those of each column of each track; a metric goes by its name."""
    tracks = list(rows.tracks())
    if not tracks:
        return
    first = np.array([where.start for where in tracks])
    last = np.array([where.stop for where in tracks]) - 1
    source = rows.source[first].tolist()
    names = [rows.names[at] for at in rows.name[first].tolist()]
    for key, (values, measured) in rows.values().items():
        least: NDArray[np.float64] = values
        at = last
        if not measured.all():
            least = np.where(measured, values, np.nan)
            at = np.maximum.reduceat(np.where(measured, np.arange(rows.size), -1), first)
        low, high = np.fmin.reduceat(least, first), np.fmax.reduceat(least, first)
        latest = values[at].tolist()
        for number, name, there, *three in zip(
            source, names, (at >= first).tolist(), latest, low.tolist(), high.tolist(), strict=True
        ):
            if there:
                found[number].add(name or key, *three)


def _merged(choose: np.ufunc, new: Values, old: Mapping[str, Any]) -> Values:
    merged = {key: float(value) for key, value in old.items()}
    for key, value in new.items():
        merged[key] = float(choose(value, merged.get(key, value)))
    return merged


def _as_json(values: Mapping[str, Any]) -> dict[str, float | str]:
    return {key: to_json(float(value)) for key, value in values.items()}
