"""Read scalars of a layer, and metrics, over steps on common buckets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from htga_client.wire import SCALARS, Buckets, Series
from htga_server.problems import BadRequest
from htga_server.runs.lookup import key_of, name_ids
from htga_server.storage.values import to_optional_list
from htga_server.timeseries import rollup
from htga_server.timeseries.rollup import Rollups, Stats
from htga_server.timeseries.series import read_series, step_ranges
from htga_server.timeseries.series_key import LAYERS, METRICS, SeriesKey, SeriesKind
from htga_server.timeseries.snapshot import Snapshot

MAX_BUCKETS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The rows to read: of a layer, by name, and a rank, with `start <= step < stop`.

    Attributes:
        since: A cursor: the last step that the reader has. Only later steps are read.
    """

    layer: str = ""
    rank: int = 0
    start: int | None = None
    stop: int | None = None
    since: str | None = None

    def within(self, first: int, last: int) -> tuple[int, int]:
        """Return the part [start, stop) of the steps from `first` to `last` that is in the range.

        Raises:
            BadRequest: The cursor is invalid.
        """
        start, stop = max(first, self.start or 0), last + 1
        if self.stop is not None:
            stop = min(stop, self.stop)
        if self.since is not None:
            # At most 18 digits, because a database's integers have 64 bits.
            if not self.since.isdecimal() or len(self.since) > 18:
                raise BadRequest(f"since {self.since[:40]!r} is no cursor of ours")
            start = max(start, int(self.since) + 1)
        return start, stop


def read(
    snapshot: Snapshot, run_id: str, keys: Sequence[str], within: Range, buckets: int
) -> Series:
    """Read values of keys over steps; a key is a scalar of `wire.SCALARS` or a metric's name.

    Raises:
        NotFound: No such run exists.
        BadRequest: No such key exists, or the cursor is invalid.
    """
    requests = resolve(snapshot.connection, run_id, keys, within)
    found = on_buckets(snapshot, requests, within, buckets)
    labelled = zip((one.labels for one in requests), found, strict=True)
    cells = rollup.join_series(tuple(keys), labelled)
    return _series(run_id, within.layer, cells, tuple(snapshot.damaged))


def on_buckets(
    snapshot: Snapshot, requests: Sequence[SeriesRequest], within: Range, buckets: int
) -> list[Rollups]:
    """Read each series on common buckets, at most `buckets` of them.

    If there are few enough rows, each of them is a bucket.

    Raises:
        BadRequest: The cursor is invalid.
    """
    first = min((one.first for one in requests), default=0)
    last = max((one.last for one in requests), default=-1)
    start, stop = within.within(first, last)
    raw = all(has_few_rows(snapshot, one.series, start, stop, buckets) for one in requests)
    width, level = (1, 0) if raw else rollup.bucket_width(start, stop, buckets)
    found = [rollup.merge(one.cells(snapshot, start, stop, level), width) for one in requests]
    if raw and len(set().union(*(cells.at.tolist() for cells in found))) > buckets:
        # Each series has few rows, but at different steps.
        width, _ = rollup.bucket_width(start, stop, buckets)
        found = [rollup.merge(cells, width) for cells in found]
    return found


def has_few_rows(snapshot: Snapshot, series: SeriesKey, start: int, stop: int, limit: int) -> bool:
    """Return whether a series has at most `limit` rows in the range; without rows it has not."""
    if stop - start <= limit:
        return True
    rows = snapshot.rows_of(series.run_key, series.kind)
    return rows is not None and rows.number(series, start, stop, limit) <= limit


def to_arrow(series: Series) -> pa.Table:
    """Return the columns step, time and, for each key, its last value and `key.mean/.min/.max`."""
    columns: dict[str, pa.Array] = {
        "step": pa.array(series.step, pa.int64()),
        "time": pa.array(series.time, pa.float64()),
    }
    for key, values in series.keys.items():
        columns[key] = pa.array(values.last, pa.float64())
        for part in ("mean", "min", "max"):
            columns[f"{key}.{part}"] = pa.array(getattr(values, part), pa.float64())
    said = {"damaged": json.dumps(series.damaged)} if series.damaged else None
    return pa.table(columns).replace_schema_metadata(said)


@dataclass(frozen=True, slots=True)
class SeriesRequest:
    """A series with its requested keys, their labels, and its first and last step."""

    series: SeriesKey
    keys: tuple[str, ...]
    labels: tuple[str, ...]
    first: int
    last: int

    def cells(self, snapshot: Snapshot, start: int, stop: int, level: int) -> Rollups:
        """Read `start <= step < stop` in cells of `level` and below."""
        return read_series(
            snapshot,
            self.series,
            start,
            stop,
            last_step=self.last,
            level=level,
            columns=self.keys,
        )


def resolve(
    connection: sa.Connection, run_id: str, keys: Sequence[str], within: Range
) -> list[SeriesRequest]:
    """Return the series that hold the keys, without empty ones.

    A client that is older than a scalar may have logged a metric of the same name; then the key of
    the whole model means that.
    """
    run_key = key_of(connection, run_id)
    metric_ids = name_ids(connection, run_key, "metric")
    unknown = [key for key in keys if key not in SCALARS and key not in metric_ids]
    if unknown:
        raise BadRequest(f"no key {unknown[0][:80]!r} in run {run_id}")
    logged = metric_ids.keys() if not within.layer else metric_ids.keys() - SCALARS.keys()
    scalars = tuple(key for key in keys if key not in logged)
    requests: list[tuple[SeriesKind, int, tuple[str, ...], tuple[str, ...]]] = [
        (METRICS, metric_ids[key], ("value",), (key,)) for key in keys if key in logged
    ]
    if scalars:
        layer_id = name_ids(connection, run_key, "layer").get(within.layer, -1)
        requests.append((LAYERS, layer_id, scalars, scalars))
    known = {
        kind: step_ranges(connection, kind, [(run_key, within.rank)])
        for kind in {kind for kind, *_ in requests}
    }
    return [
        SeriesRequest(SeriesKey(kind, *place), own, labels, *known[kind][place])
        for kind, name_id, own, labels in requests
        if (place := (run_key, name_id, within.rank)) in known[kind]
    ]


def _series(run_id: str, layer: str, cells: Rollups, damaged: tuple[str, ...]) -> Series:
    return Series(
        run_id=run_id,
        layer=layer,
        step=cells.step.tolist(),
        time=cells.time.tolist(),
        keys={key: _buckets(cells.stats[:, column]) for column, key in enumerate(cells.keys)},
        buckets=cells.at.size,
        total=int(cells.rows.sum()),
        cursor=str(cells.step.max()) if cells.at.size else None,
        damaged=damaged,
    )


def _buckets(stats: Stats) -> Buckets:
    """Return the buckets of one key; None where it was not measured."""
    measured = stats["count"] > 0
    with np.errstate(invalid="ignore"):
        mean = stats["sum"] / np.maximum(stats["count"], 1)
    return Buckets(
        mean=to_optional_list(mean, measured),
        min=to_optional_list(stats["min"], measured),
        max=to_optional_list(stats["max"], measured),
        last=to_optional_list(stats["last"], measured),
    )
