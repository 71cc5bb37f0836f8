"""Reading scalars over steps: telemetry of a layer, and the user's metrics, on common buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from htga_client.wire import SCALARS, Buckets, Series
from htga_server.problems import BadRequest
from htga_server.runs.lookup import is_pruned, key_of, name_ids
from htga_server.storage.values import optional
from htga_server.timeseries import rollup as pyramid
from htga_server.timeseries.rollup import Cells, Stats
from htga_server.timeseries.series import read as read_track
from htga_server.timeseries.series import spans
from htga_server.timeseries.series_key import LAYERS, METRICS, Kind, Track

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
    found = on_buckets(connection, wanted, within, buckets)
    labelled = zip((one.labels for one in wanted), found, strict=True)
    return _series(run_id, within.layer, pyramid.beside(tuple(keys), labelled))


def on_buckets(
    connection: sa.Connection, wanted: Sequence[Asked], within: Range, buckets: int
) -> list[Cells]:
    """The cells of each track on buckets common to all, which no more than `buckets` come of.

    Where there are few rows, each of them is a bucket.

    Raises:
        BadRequest: The cursor is none of ours.
    """
    first = min((one.first for one in wanted), default=0)
    last = max((one.last for one in wanted), default=-1)
    start, stop = within.within(first, last)
    raw = all(is_few(connection, one.track, start, stop, buckets) for one in wanted)
    width, level = (1, 0) if raw else pyramid.grid(start, stop, buckets)
    found = [pyramid.merge(one.cells(connection, start, stop, level), width) for one in wanted]
    if raw and len(set().union(*(cells.at.tolist() for cells in found))) > buckets:
        # Each track has few rows, but at other steps than the others.
        width, _ = pyramid.grid(start, stop, buckets)
        found = [pyramid.merge(cells, width) for cells in found]
    return found


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


def _series(run_id: str, layer: str, cells: Cells) -> Series:
    return Series(
        run_id=run_id,
        layer=layer,
        step=cells.step.tolist(),
        time=cells.time.tolist(),
        keys={key: _buckets(cells.stats[:, column]) for column, key in enumerate(cells.keys)},
        buckets=cells.at.size,
        total=int(cells.rows.sum()),
        cursor=str(cells.step.max()) if cells.at.size else None,
    )


def _buckets(stats: Stats) -> Buckets:
    """One key; a bucket in which it was never measured is None."""
    measured = stats["count"] > 0
    with np.errstate(invalid="ignore"):
        mean = stats["total"] / np.maximum(stats["count"], 1)
    return Buckets(
        mean=optional(mean, measured),
        min=optional(stats["low"], measured),
        max=optional(stats["high"], measured),
        last=optional(stats["last"], measured),
    )
