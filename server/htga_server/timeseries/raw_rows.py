"""The rows of a series, one by one: those in the database, and what any other place must give."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_server.storage.tables import packs
from htga_server.storage.values import to_array
from htga_server.timeseries import rollup
from htga_server.timeseries.histogram_blocks import decode_items
from htga_server.timeseries.rollup import WINDOW_STEPS, Rollups
from htga_server.timeseries.series_key import (
    LAYERS,
    OneOrMore,
    SeriesKey,
    SeriesKind,
    name_id_column,
    range_conditions,
    range_parameters,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_BLOCKS = sa.select(packs.c.step, packs.c.attempt, packs.c.data).where(
    *range_conditions(LAYERS, packs, packs.c.step)
)


class RawRows(Protocol):
    """Reads the rows of a run."""

    def rows(
        self, key: OneOrMore, start: int, stop: int, columns: Sequence[str]
    ) -> tuple[Ints, Rollups]:
        """Read the rows of `start <= step < stop`, each as a rollup of one step.

        Of several attempts at a step only the latest counts.

        Returns:
            The name_id that each row belongs to, and the rows, series after series.
        """

    def number(self, key: SeriesKey, start: int, stop: int, limit: int) -> int:
        """Return the number of rows of `start <= step < stop`, or one that is above `limit`."""

    def histograms(self, key: SeriesKey, start: int, stop: int) -> dict[int, dict[int, bytes]]:
        """Read encoded histograms of `start <= step < stop`, by step and attempt, increasing."""

    def last_histogram(self, key: SeriesKey, before: int) -> tuple[int, bytes] | None:
        """Return step and bytes of the latest histogram of `step <= before`."""

    def attempts(
        self, key: SeriesKey, start: int, stop: int, columns: Sequence[str], limit: int
    ) -> Sequence[Any]:
        """Read the next rows (step, attempt, time, *columns) in order, with all attempts at a step.

        They are about `limit`, at least one if there is any.
        """

    def before(
        self, key: SeriesKey, column: str, *, attempt: int, step: int, limit: int
    ) -> tuple[Ints, Floats]:
        """Return the last values, at most `limit`, before a step as an attempt at it found them."""


class StoredRows:
    """The rows in the database.

    Args:
        connection: To the database.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def rows(
        self, key: OneOrMore, start: int, stop: int, columns: Sequence[str]
    ) -> tuple[Ints, Rollups]:
        """Read rows, see `RawRows`."""
        rows: Sequence[Any] = self._connection.execute(
            _rows(key.kind, tuple(columns)), range_parameters(key, start, stop)
        ).all()
        return latest_of_tuples(rows, columns)

    def number(self, key: SeriesKey, start: int, stop: int, limit: int) -> int:
        """Count rows, see `RawRows`."""
        table = key.kind.table
        some = (
            sa.select(table.c.step)
            .where(*key.conditions(table), table.c.step >= start, table.c.step < stop)
            .limit(limit + 1)
        )
        count = sa.select(sa.func.count()).select_from(some.subquery())
        return self._connection.scalar(count) or 0

    def histograms(self, key: SeriesKey, start: int, stop: int) -> dict[int, dict[int, bytes]]:
        """Read histograms, see `RawRows`."""
        within = range_parameters(key, start // WINDOW_STEPS * WINDOW_STEPS, stop)
        found: dict[int, dict[int, bytes]] = {}
        for first, attempt, data in self._connection.execute(_BLOCKS, within):
            for at, blob in decode_items(first, bytes(data)):
                if start <= at < stop:
                    found.setdefault(at, {})[attempt] = blob
        return {step: dict(sorted(found[step].items())) for step in sorted(found)}

    def last_histogram(self, key: SeriesKey, before: int) -> tuple[int, bytes] | None:
        """Return the latest histogram, see `RawRows`."""
        own = key.conditions(packs)
        last = sa.select(sa.func.max(packs.c.step)).where(*own, packs.c.step <= before)
        first = self._connection.scalar(last)
        if first is None:
            return None
        window = first // WINDOW_STEPS * WINDOW_STEPS
        found = self.histograms(key, window, min(window + WINDOW_STEPS, before + 1))
        at, attempts = list(found.items())[-1]
        return at, attempts[max(attempts)]

    def attempts(
        self, key: SeriesKey, start: int, stop: int, columns: Sequence[str], limit: int
    ) -> Sequence[Any]:
        """Read rows of all attempts, see `RawRows`."""
        table = key.kind.table
        own = [table.c[name] for name in ("step", "attempt", "time", *columns)]
        query = (
            sa.select(*own)
            .where(*key.conditions(table), table.c.step >= start, table.c.step < stop)
            .order_by(table.c.step, table.c.attempt)
        )
        rows: list[Any] = list(self._connection.execute(query.limit(limit)))
        if len(rows) == limit:
            last = rows[-1][0]
            rest = query.where(table.c.step == last)
            rows = [row for row in rows if row[0] < last] + list(self._connection.execute(rest))
        return rows

    def before(
        self, key: SeriesKey, column: str, *, attempt: int, step: int, limit: int
    ) -> tuple[Ints, Floats]:
        """Return earlier values, see `RawRows`."""
        table = key.kind.table
        query = (
            sa.select(table.c.step, table.c[column])
            .where(*key.conditions(table), table.c.step < step, table.c.attempt <= attempt)
            .where(table.c[column].is_not(None))
            .order_by(table.c.step.desc(), table.c.attempt.desc())
        )
        rows_read = limit
        while True:
            rows = self._connection.execute(query.limit(rows_read)).all()
            found = dict(map(tuple, reversed(rows)))  # the latest attempt at each step
            if len(found) >= limit or len(rows) < rows_read:
                return last_values_of(found, limit)
            rows_read *= 4  # some steps have several attempts


def last_values_of(found: dict[int, Any], limit: int) -> tuple[Ints, Floats]:
    """Return the last `limit` of values by step."""
    steps = sorted(found)[-limit:]
    return np.array(steps, np.int64), to_array([found[at] for at in steps])[0]


def is_latest(owner: Ints, step: Ints) -> NDArray[np.bool_]:
    """Return which rows, sorted by owner, step and attempt, are the last at their step."""
    latest: NDArray[np.bool_] = (np.diff(owner, append=-1) | np.diff(step, append=-1)) != 0
    return latest


def latest_of_tuples(rows: Sequence[Any], columns: Sequence[str]) -> tuple[Ints, Rollups]:
    """Keep the latest attempt of rows (owner, step, time, *columns), sorted by attempt last."""
    owner = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    step = np.fromiter((row[1] for row in rows), np.int64, len(rows))
    latest = is_latest(owner, step)
    if not latest.all():
        rows = [rows[i] for i in np.flatnonzero(latest).tolist()]
        owner, step = owner[latest], step[latest]
    time, *values = list(zip(*rows, strict=True))[2:] or [()] * (1 + len(columns))
    measured = {key: to_array(column) for key, column in zip(columns, values, strict=True)}
    return owner, rollup.of_rows(step, np.array(time, np.float64), measured)


@cache
def _rows(kind: SeriesKind, keys: tuple[str, ...]) -> sa.Select[Any]:
    table, name_id = kind.table.c, name_id_column(kind.table, kind)
    return (
        sa.select(name_id, table.step, table.time, *(table[key] for key in keys))
        .where(*range_conditions(kind, kind.table, table.step))
        .order_by(name_id, table.step, table.attempt)
    )
