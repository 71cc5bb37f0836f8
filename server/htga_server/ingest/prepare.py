"""From the columns of requests to sorted rows, and the reasons of those that cannot be stored.

A request of ten rows is ten rows of work and a hundred calls of Arrow and numpy, so those that are
stored together are prepared together: the calls are then made once for all of them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from htga_client.wire import ROWS, SCALARS, Rejection
from htga_client.wire.histogram import Histograms, decode_joined
from htga_server.ingest.arrow_columns import codes, floats, ints, numbers, whole
from htga_server.runs import events
from htga_server.runs.events import Happened
from htga_server.timeseries.histogram_blocks import Blobs, of_list
from htga_server.timeseries.rollup import MAX_STEP
from htga_server.timeseries.row_batch import Ints, Rows, in_order

MAX_NAME = 1024
MAX_METRICS = 256
# What a map is in memory; Arrow can flatten a list of structs, but no map.
PAIRS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.float64())]))


@dataclass(frozen=True, slots=True)
class Checked:
    """What a request brought, besides the rows that can be stored.

    Attributes:
        sent: How many rows there were.
        events: What happened.
        rejected: What cannot be stored, and why.
        digest: Tells these rows from others that were sent under the same numbers.
        last_step: The highest step of those that can be stored, or None without one.
    """

    sent: int
    events: tuple[Happened, ...]
    rejected: tuple[Rejection, ...]
    digest: bytes
    last_step: int | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """The rows of requests, ready to be stored together.

    Attributes:
        steps, metrics: What can be stored.
        requests: Of each request, the rest.
    """

    steps: Rows
    metrics: Rows
    requests: tuple[Checked, ...]


def prepare(tables: Sequence[pa.Table]) -> Prepared:
    """Check rows and sort them.

    Args:
        tables: Of each request, validated columns of `wire.ROWS`; those left out are null.
    """
    table = _joined(tables)
    counts = [own.num_rows for own in tables]
    begin = np.cumsum([0, *counts])
    source = np.repeat(np.arange(len(tables)), counts)
    digests = _digests(table, begin)
    pairs = _pairs(table)
    decoded, blobs = _histograms(table["histogram"])
    rejected = _check(table, decoded.valid, pairs) | events.read(table["event"])[1]
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
    happened = events.of_table(table, places.row.tolist(), places.time.tolist())
    last = _last_steps(places)
    return Prepared(
        _steps(table, places, (decoded, blobs)),
        _metrics(places, pairs),
        tuple(
            Checked(
                sent=sent,
                events=tuple(one for at, one in happened if places.source[at] == number),
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
    """Where the rows of a table belong, each of shape [R]."""

    source: Ints
    row: Ints
    step: Ints
    rank: Ints
    time: NDArray[np.float64]


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables, promote_options="default").combine_chunks()
    for field in ROWS:
        if field.name not in table.column_names and field.name not in SCALARS:
            table = table.append_column(field.name, pa.nulls(table.num_rows, field.type))
    return table


def _last_steps(places: _Places) -> dict[int, int]:
    """The highest step of each request that has rows."""
    source, first = np.unique(places.source, return_index=True)
    if not source.size:
        return {}
    last = np.maximum.reduceat(places.step, first)
    return dict(zip(source.tolist(), last.tolist(), strict=True))


def _steps(table: pa.Table, places: _Places, histograms: tuple[Histograms, Blobs]) -> Rows:
    sent = [name for name in SCALARS if name in table.column_names]
    columns = {name: numbers(table[name]) for name in sent if table[name].null_count < len(table)}
    has = np.asarray(table["histogram"].is_valid())
    names, name = codes(pc.fill_null(table["layer"], ""))
    rows = Rows(
        names,
        places.source,
        name,
        places.rank,
        places.step,
        places.time,
        places.row,
        columns,
        np.where(has, np.cumsum(has) - 1, -1),
        blobs=histograms[1],
        decoded=histograms[0],
    )
    measured = has.copy()
    for column in columns.values():
        measured |= True if column.measured is None else column.measured
    return in_order(rows if measured.all() else rows[measured])


def _metrics(places: _Places, pairs: pa.Array) -> Rows:
    lengths = ints(pc.fill_null(pc.list_value_length(pairs), 0))
    flat = pairs.flatten()
    owner = np.repeat(np.arange(len(lengths)), lengths)
    names, name = codes(flat.field(0))
    columns = {"value": numbers(flat.field(1))}
    none = np.full(owner.size, -1)
    return in_order(
        Rows(
            names,
            places.source[owner],
            name,
            places.rank[owner],
            places.step[owner],
            places.time[owner],
            places.row[owner],
            columns,
            none,
            *_nothing(),
        )
    )


def _check(table: pa.Table, sound: NDArray[np.bool_], pairs: pa.Array) -> dict[int, str]:
    """The reasons of the rows that cannot be stored, by row."""
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
    names, name = codes(pc.fill_null(table["layer"], ""))
    bad = np.array([len(n) > MAX_NAME or "\0" in n for n in names], np.bool_)
    if bad.any():
        reject(bad[name], "layer is too long or holds a NUL")
    sent = np.flatnonzero(np.asarray(table["histogram"].is_valid()))
    for row in sent[~sound].tolist():
        rejected.setdefault(row, "histogram cannot be read")
    lengths = ints(pc.fill_null(pc.list_value_length(pairs), 0))
    reject(lengths > MAX_METRICS, f"more than {MAX_METRICS} metrics")
    names, name = codes(pairs.flatten().field(0))
    bad = np.array([not 0 < len(n) <= MAX_NAME or "\0" in n for n in names], np.bool_)
    if bad.any():
        owner = np.repeat(np.arange(len(lengths)), lengths)
        for row in owner[bad[name]].tolist():
            rejected.setdefault(row, "a metric's name is empty, too long or holds a NUL")
    return rejected


def _pairs(table: pa.Table) -> pa.Array:
    return whole(table["metrics"]).cast(PAIRS)


def _histograms(column: pa.ChunkedArray) -> tuple[Histograms, Blobs]:
    """The histograms of the rows that have one."""
    array = whole(column.drop_null())
    if len(array) == 0:
        blobs, decoded = _nothing()
        return decoded, blobs
    _, offsets, data = array.buffers()
    # Counted, for a buffer that came over a network may end anywhere after what is needed of it.
    ends = np.frombuffer(offsets, np.int32, len(array) + 1, 4 * array.offset)
    bytes_ = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    blobs = Blobs(bytes_[ends[0] : ends[-1]], ends[1:].astype(np.int64) - ends[0])
    return decode_joined(blobs.data, blobs.ends), blobs


@cache
def _nothing() -> tuple[Blobs, Histograms]:
    empty = of_list([])
    return empty, decode_joined(empty.data, empty.ends)


def _digests(table: pa.Table, begin: Ints) -> list[bytes]:
    step = ints(pc.fill_null(table["step"], -1))
    when = floats(pc.fill_null(table["time"], 0.0))
    return [
        hashlib.sha256(step[a:b].tobytes() + when[a:b].tobytes()).digest()
        for a, b in pairwise(begin.tolist())
    ]
