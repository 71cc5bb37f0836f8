"""Check the rows of requests and sort them; say why others cannot be stored.

Ten rows cost little, but the hundred calls of Arrow and numpy around them cost more. So requests
that are stored together are prepared together, with one set of calls.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from htga_client.wire import ROWS, SCALARS, Event, Rejection
from htga_client.wire.histogram import Histograms, decode_joined
from htga_server.ingest.arrow_columns import combined, dictionary_encode, floats, ints, to_column
from htga_server.runs import events
from htga_server.runs.events import NewEvent
from htga_server.timeseries.histogram_blocks import BinaryColumn, from_list
from htga_server.timeseries.rollup import MAX_STEP
from htga_server.timeseries.row_batch import Ints, Rows, sort_rows

MAX_NAME = 1024
MAX_METRICS = 256
# The memory layout of a map; Arrow can flatten a list of structs, but not a map.
PAIRS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.float64())]))


@dataclass(frozen=True, slots=True)
class Checked:
    """The contents of one request besides the rows to store.

    Attributes:
        sent: The number of rows.
        events: Events of the valid rows.
        rejected: The rows that cannot be stored, and why.
        digest: Tells these rows from others that are sent under the same numbers.
        last_step: The highest step of the valid rows, or None.
    """

    sent: int
    events: tuple[NewEvent, ...]
    rejected: tuple[Rejection, ...]
    digest: bytes
    last_step: int | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """The rows of several requests, ready to be stored together.

    Attributes:
        steps, metrics: The valid rows.
        requests: The other contents of each request.
    """

    steps: Rows
    metrics: Rows
    requests: tuple[Checked, ...]


def prepare(tables: Sequence[pa.Table]) -> Prepared:
    """Check and sort the rows of requests.

    Args:
        tables: For each request, validated columns of `wire.ROWS`; missing ones are null.
    """
    table = _joined(tables)
    counts = [own.num_rows for own in tables]
    begin = np.cumsum([0, *counts])
    source = np.repeat(np.arange(len(tables)), counts)
    digests = _digests(table, begin)
    pairs = _pairs(table)
    decoded, blobs = _histograms(table["histogram"])
    parsed, unreadable = events.parse(table["event"])
    rejected = _check(table, decoded.valid, pairs) | unreadable
    row = np.arange(source.size)
    if rejected:
        keep = np.ones(row.size, np.bool_)
        keep[list(rejected)] = False
        row = row[keep]
        table = table.filter(pa.array(keep))
        pairs = _pairs(table)
        decoded, blobs = _histograms(table["histogram"])
    now = time.time()
    when = pc.if_else(pc.is_finite(table["time"]), table["time"], now)
    places = _Places(
        source=source[row],
        row=row - begin[source[row]],
        step=ints(table["step"]),
        rank=ints(pc.fill_null(table["rank"], 0)),
        time=floats(pc.fill_null(when, now)),
    )
    new_events = _events(parsed, row, table["layer"], places)
    last = _last_steps(places)
    return Prepared(
        _steps(table, places, (decoded, blobs)),
        _metrics(places, pairs),
        tuple(
            Checked(
                sent=sent,
                events=tuple(event for of, event in new_events if of == number),
                rejected=tuple(
                    Rejection(row=at - first, reason=why)
                    for at, why in sorted(rejected.items())
                    if first <= at < first + sent
                ),
                digest=digest,
                last_step=last.get(number),
            )
            for number, (sent, first, digest) in enumerate(
                zip(counts, begin.tolist(), digests, strict=False)
            )
        ),
    )


class _Places(NamedTuple):
    """Request, row in it, step, rank and time of each row of a table; all of shape [R]."""

    source: Ints
    row: Ints
    step: Ints
    rank: Ints
    time: NDArray[np.float64]

    def take(self, rows: Ints) -> _Places:
        """Select rows by index."""
        own = (self.source[rows], self.row[rows], self.step[rows], self.rank[rows])
        return _Places(*own, self.time[rows])


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables, promote_options="default").combine_chunks()
    for field in ROWS:
        if field.name not in table.column_names and field.name not in SCALARS:
            table = table.append_column(field.name, pa.nulls(table.num_rows, field.type))
    return table


def _last_steps(places: _Places) -> dict[int, int]:
    """Return the highest step of each request that has rows."""
    source, first = np.unique(places.source, return_index=True)
    if not source.size:
        return {}
    last = np.maximum.reduceat(places.step, first)
    return dict(zip(source.tolist(), last.tolist(), strict=True))


def _events(
    parsed: Mapping[int, Event], row: Ints, layer: pa.ChunkedArray, places: _Places
) -> list[tuple[int, NewEvent]]:
    """Return the events of valid rows, each with the number of its request.

    Args:
        parsed: The events by their row in all tables.
        row: The valid ones among those rows, increasing.
        layer: The layers of the valid rows.
    """
    found = []
    for at in np.flatnonzero(np.isin(row, list(parsed))).tolist() if parsed else ():
        event = NewEvent(
            row=int(places.row[at]),
            step=int(places.step[at]),
            rank=int(places.rank[at]),
            layer=layer[at].as_py() or "",
            time=float(places.time[at]),
            event=parsed[int(row[at])],
        )
        found.append((int(places.source[at]), event))
    return found


def _steps(table: pa.Table, places: _Places, histograms: tuple[Histograms, BinaryColumn]) -> Rows:
    sent = [name for name in SCALARS if name in table.column_names]
    columns = {name: to_column(table[name]) for name in sent if table[name].null_count < len(table)}
    has = np.asarray(table["histogram"].is_valid())
    names, name = dictionary_encode(pc.fill_null(table["layer"], ""))
    histogram = np.where(has, np.cumsum(has) - 1, -1)
    at = (places.source, name, places.rank, places.step, places.time, places.row)
    rows = Rows(names, *at, columns, histogram, blobs=histograms[1], decoded=histograms[0])
    measured = has.copy()
    for column in columns.values():
        measured |= True if column.measured is None else column.measured
    return sort_rows(rows if measured.all() else rows[measured])


def _metrics(places: _Places, pairs: pa.Array) -> Rows:
    lengths = ints(pc.fill_null(pc.list_value_length(pairs), 0))
    flat = pairs.flatten()
    owner = np.repeat(np.arange(len(lengths)), lengths)
    names, name = dictionary_encode(flat.field(0))
    columns = {"value": to_column(flat.field(1))}
    none, at = np.full(owner.size, -1), places.take(owner)
    rows = (names, at.source, name, at.rank, at.step, at.time, at.row, columns, none)
    return sort_rows(Rows(*rows, *_nothing()))


def _check(table: pa.Table, sound: NDArray[np.bool_], pairs: pa.Array) -> dict[int, str]:
    """Return by row why it cannot be stored."""
    rejected: dict[int, str] = {}

    def reject(where: Any, reason: str) -> None:
        for row in np.flatnonzero(np.asarray(where)).tolist():
            rejected.setdefault(row, reason)

    def is_true(column: pa.ChunkedArray) -> NDArray[np.bool_]:
        return np.asarray(pc.fill_null(column, False))

    reject(table["step"].is_null(), "step is missing")
    reject(is_true(pc.less(table["step"], 0)), "step is negative")
    reject(is_true(pc.greater_equal(table["step"], MAX_STEP)), "step is 2**53 or more")
    reject(is_true(pc.less(table["rank"], 0)), "rank is negative")
    names, name = dictionary_encode(pc.fill_null(table["layer"], ""))
    bad = np.array([len(n) > MAX_NAME or "\0" in n for n in names], np.bool_)
    if bad.any():
        reject(bad[name], "layer is too long or holds a NUL")
    sent = np.flatnonzero(np.asarray(table["histogram"].is_valid()))
    for row in sent[~sound].tolist():
        rejected.setdefault(row, "histogram cannot be read")
    lengths = ints(pc.fill_null(pc.list_value_length(pairs), 0))
    reject(lengths > MAX_METRICS, f"more than {MAX_METRICS} metrics")
    names, name = dictionary_encode(pairs.flatten().field(0))
    bad = np.array([not 0 < len(n) <= MAX_NAME or "\0" in n for n in names], np.bool_)
    if bad.any():
        owner = np.repeat(np.arange(len(lengths)), lengths)
        for row in owner[bad[name]].tolist():
            rejected.setdefault(row, "a metric's name is empty, too long or holds a NUL")
    return rejected


def _pairs(table: pa.Table) -> pa.Array:
    return combined(table["metrics"]).cast(PAIRS)


def _histograms(column: pa.ChunkedArray) -> tuple[Histograms, BinaryColumn]:
    """Return the histograms of the rows that have one, decoded and encoded."""
    array = combined(column.drop_null())
    if len(array) == 0:
        blobs, decoded = _nothing()
        return decoded, blobs
    _, offsets, data = array.buffers()
    # Read exactly len + 1 offsets: an untrusted buffer may be longer than needed.
    ends = np.frombuffer(offsets, np.int32, len(array) + 1, 4 * array.offset)
    bytes_ = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    blobs = BinaryColumn(bytes_[ends[0] : ends[-1]], ends[1:].astype(np.int64) - ends[0])
    return decode_joined(blobs.data, blobs.ends), blobs


@cache
def _nothing() -> tuple[BinaryColumn, Histograms]:
    empty = from_list([])
    return empty, decode_joined(empty.data, empty.ends)


def _digests(table: pa.Table, begin: Ints) -> list[bytes]:
    step = ints(pc.fill_null(table["step"], -1))
    when = floats(pc.fill_null(table["time"], 0.0))
    return [
        hashlib.sha256(step[a:b].tobytes() + when[a:b].tobytes()).digest()
        for a, b in pairwise(begin.tolist())
    ]
