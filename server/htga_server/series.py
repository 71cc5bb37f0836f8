"""Reading scalars over steps: telemetry of a layer, and the user's metrics, on common buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.wire import SCALARS, Buckets, Series
from htga_server import pyramid
from htga_server.columns import optional
from htga_server.keys import is_pruned, key_of, name_ids
from htga_server.problems import BadRequest
from htga_server.pyramid import Cells, Stats
from htga_server.tracks import LAYERS, METRICS, Kind, Track, spans
from htga_server.tracks import read as read_track

MAX_BUCKETS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which rows to read: a layer (by name) on a rank, `start <= step < stop`, after a cursor.

    The cursor is the last step that the reader has.
    """

    layer: str = ""
    rank: int = 0
    start: int | None = None
    stop: int | None = None
    since: str | None = None

    def within(self, first: int, last: int) -> tuple[int, int]:
        """The steps from `first` to `last` that are in the range, as (start, stop).

        Raises:
            BadRequest: The cursor is none of ours.
        """
        start, stop = max(first, self.start or 0), last + 1
        if self.stop is not None:
            stop = min(stop, self.stop)
        if self.since is not None:
            # At most 18 digits: a database's integers end after that.
            if not self.since.isdecimal() or len(self.since) > 18:
                raise BadRequest(f"since {self.since[:40]!r} is no cursor of ours")
            start = max(start, int(self.since) + 1)
        return start, stop


def read(
    connection: sa.Connection, run_id: str, keys: Sequence[str], within: Range, buckets: int
) -> Series:
    """Values of some keys over steps; a key is a scalar of `wire.SCALARS` or a metric's name.

    Raises:
        NotFound: There is no such run.
        BadRequest: There is no such key, or the cursor is none of ours.
    """
    wanted = asked(connection, run_id, keys, within)
    if not wanted:
        within.within(0, 0)
        return _series(run_id, within.layer, keys, {})
    start, stop = within.within(min(a.first for a in wanted), max(a.last for a in wanted))
    raw = all(is_few(connection, a.track, start, stop, buckets) for a in wanted)
    width, level = (1, 0) if raw else pyramid.grid(start, stop, buckets)
    found = {
        a.labels: pyramid.merge(a.cells(connection, start, stop, level), width) for a in wanted
    }
    if raw and np.unique(np.concatenate([c.at for c in found.values()])).size > buckets:
        # Each track has few rows, but at other steps than the others.
        width, _ = pyramid.grid(start, stop, buckets)
        found = {labels: pyramid.merge(cells, width) for labels, cells in found.items()}
    return _series(run_id, within.layer, keys, found)


def is_few(connection: sa.Connection, track: Track, start: int, stop: int, most: int) -> bool:
    """Whether a track has at most so many rows in `start <= step < stop`; a pruned one has not."""
    if stop - start <= most:
        return True
    table = track.kind.table
    some = (
        sa.select(table.c.step)
        .where(*track.of(table), table.c.step >= start, table.c.step < stop)
        .limit(most + 1)
    )
    number = connection.scalar(sa.select(sa.func.count()).select_from(some.subquery()))
    if not number and is_pruned(connection, track.run_key):
        return False  # there are cells only
    return (number or 0) <= most


def to_arrow(series: Series) -> pa.Table:
    """A series as columns step, time and, per key, `key` (its last value), `key.mean/.min/.max`."""
    columns: dict[str, pa.Array] = {
        "step": pa.array(series.step, pa.int64()),
        "time": pa.array(series.time, pa.float64()),
    }
    for key, values in series.keys.items():
        columns[key] = pa.array(values.last, pa.float64())
        for part in ("mean", "min", "max"):
            columns[f"{key}.{part}"] = pa.array(getattr(values, part), pa.float64())
    return pa.table(columns)


@dataclass(frozen=True, slots=True)
class Asked:
    """A track with the keys that are wanted of it, what they are called, and its steps' range."""

    track: Track
    keys: tuple[str, ...]
    labels: tuple[str, ...]
    first: int
    last: int

    def cells(self, connection: sa.Connection, start: int, stop: int, level: int) -> Cells:
        """What `start <= step < stop` holds, in cells of `level` and below."""
        return read_track(
            connection, self.track, start, stop, last_step=self.last, level=level, keys=self.keys
        )


def asked(
    connection: sa.Connection, run_id: str, keys: Sequence[str], within: Range
) -> list[Asked]:
    """The tracks that hold the keys, without those that have no row."""
    run_key = key_of(connection, run_id)
    metric_ids = name_ids(connection, run_key, "metric")
    unknown = [key for key in keys if key not in SCALARS and key not in metric_ids]
    if unknown:
        raise BadRequest(f"no key {unknown[0][:80]!r} in run {run_id}")
    scalars = tuple(key for key in keys if key in SCALARS)
    wanted: list[tuple[Kind, int, tuple[str, ...], tuple[str, ...]]] = [
        (METRICS, metric_ids[key], ("value",), (key,)) for key in keys if key not in SCALARS
    ]
    if scalars:
        layer_id = name_ids(connection, run_key, "layer").get(within.layer, -1)
        wanted.append((LAYERS, layer_id, scalars, scalars))
    known = {
        kind: spans(connection, kind, run_key, ranks=[within.rank])
        for kind in {kind for kind, *_ in wanted}
    }
    return [
        Asked(Track(kind, run_key, name_id, within.rank), own, labels, *known[kind][place])
        for kind, name_id, own, labels in wanted
        if (place := (name_id, within.rank)) in known[kind]
    ]


def _series(
    run_id: str, layer: str, keys: Sequence[str], found: dict[tuple[str, ...], Cells]
) -> Series:
    """Bring the cells of all keys onto the union of their buckets."""
    bucket = np.unique(np.concatenate([np.zeros(0, np.int64), *(c.at for c in found.values())]))
    rows, step = np.zeros(bucket.size, np.int64), np.full(bucket.size, -1)
    time = np.full(bucket.size, np.nan)
    never: list[float | None] = [None] * bucket.size
    nothing = Buckets(mean=never, min=never, max=never, last=never)
    values = dict.fromkeys(keys, nothing)
    for labels, cells in found.items():
        place = np.searchsorted(bucket, cells.at)
        rows[place] = np.maximum(rows[place], cells.rows)
        later = cells.step > step[place]
        step[place[later]], time[place[later]] = cells.step[later], cells.time[later]
        for column, label in enumerate(labels):
            values[label] = _buckets(cells.stats[:, column], place, bucket.size)
    return Series(
        run_id=run_id,
        layer=layer,
        step=step.tolist(),
        time=time.tolist(),
        keys=values,
        buckets=bucket.size,
        total=int(rows.sum()),
        cursor=str(step.max()) if step.size else None,
    )


def _buckets(stats: Stats, place: NDArray[np.intp], size: int) -> Buckets:
    """One key on the common buckets; a bucket in which it was never measured is None."""
    measured = np.zeros(size, np.bool_)
    measured[place] = stats["count"] > 0
    with np.errstate(invalid="ignore"):
        mean = stats["total"] / np.maximum(stats["count"], 1)

    def spread(values: NDArray[np.float64]) -> list[float | None]:
        full = np.full(size, np.nan)
        full[place] = values
        return optional(full, measured)

    return Buckets(
        mean=spread(mean),
        min=spread(stats["low"]),
        max=spread(stats["high"]),
        last=spread(stats["last"]),
    )
