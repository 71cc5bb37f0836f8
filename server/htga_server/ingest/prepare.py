"""Check the rows of requests and sort them; say why others cannot be stored.

Ten rows cost little, but the hundred calls of Arrow and numpy around them cost more. So requests
that are stored together are prepared together, with one set of calls.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from htga_client.wire import ROWS, SCALARS, Event, Rejection
from htga_server.ingest.left_out import LeftOutParts
from htga_server.ingest.row_columns import (
    RowColumns,
    check_rows,
    no_histograms,
    read_columns,
    without_bad_parts,
)
from htga_server.runs import events
from htga_server.runs.events import NewEvent
from htga_server.timeseries.row_batch import Ints, Rows, sort_rows


@dataclass(frozen=True, slots=True)
class Checked:
    """The contents of one request besides the rows to store.

    Attributes:
        sent: The number of rows.
        events: Events of the valid rows.
        rejected: The rows that cannot be stored, and why.
        left_out: Parts of the other rows that cannot be stored.
        digest: Tells these rows from others that are sent under the same numbers.
        last_step: The highest step of the valid rows, or None.
    """

    sent: int
    events: tuple[NewEvent, ...]
    rejected: tuple[Rejection, ...]
    digest: bytes
    left_out: LeftOutParts
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
    columns = read_columns(table)
    counts = [own.num_rows for own in tables]
    begin = np.cumsum([0, *counts])
    digests = _digests(columns, begin)
    parsed, unreadable = events.parse(table["event"])
    rejected = check_rows(columns)
    row = np.arange(begin[-1])
    if rejected:
        row = np.delete(row, list(rejected))
        columns = read_columns(table.take(pa.array(row)))
    source = np.repeat(np.arange(len(tables)), counts)
    columns, left_out = without_bad_parts(columns, source[row])
    for at, why in unreadable.items():
        left_out[int(source[at])]["event", "", why] += 1
    source = source[row]
    when = columns.time.values
    places = _Places(
        source=source,
        row=row - begin[source],
        step=columns.step.values,
        rank=columns.rank.values.astype(np.int64),
        time=np.where(np.isfinite(when), when, time.time()),
    )
    new_events = _events(parsed, row, columns, places)
    last = _last_steps(places)
    return Prepared(
        _steps(columns, places),
        _metrics(columns, places),
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
                left_out=left_out.get(number, LeftOutParts()),
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
    parsed: Mapping[int, Event], row: Ints, columns: RowColumns, places: _Places
) -> list[tuple[int, NewEvent]]:
    """Return the events of valid rows, each with the number of its request.

    Args:
        parsed: The events by their row in all tables.
        row: The valid ones among those rows, increasing.
        columns, places: The valid rows.
    """
    found = []
    for at in np.flatnonzero(np.isin(row, list(parsed))).tolist() if parsed else ():
        event = NewEvent(
            row=int(places.row[at]),
            step=int(places.step[at]),
            rank=int(places.rank[at]),
            layer=columns.layers[columns.layer[at]],
            time=float(places.time[at]),
            event=parsed[int(row[at])],
        )
        found.append((int(places.source[at]), event))
    return found


def _steps(columns: RowColumns, places: _Places) -> Rows:
    has = columns.has_histogram
    histogram = np.where(has, np.cumsum(has) - 1, -1)
    at = (places.source, columns.layer, places.rank, places.step, places.time, places.row)
    rows = Rows(columns.layers, *at, columns.scalars, histogram, columns.blobs, columns.decoded)
    measured = has.copy()
    for column in columns.scalars.values():
        measured |= True if column.measured is None else column.measured
    return sort_rows(rows if measured.all() else rows[measured])


def _metrics(columns: RowColumns, places: _Places) -> Rows:
    own, (decoded, blobs) = places.take(columns.owner), no_histograms()
    at = (own.source, columns.metric, own.rank, own.step, own.time, own.row)
    none = np.full(columns.owner.size, -1)
    return sort_rows(Rows(columns.metrics, *at, {"value": columns.value}, none, blobs, decoded))


def _digests(columns: RowColumns, begin: Ints) -> list[bytes]:
    """Return a digest of the steps and times of each request; null is -1 there, and 0."""
    step, when = columns.step.values, columns.time.values
    if columns.step.measured is not None:
        step = np.where(columns.step.measured, step, -1)
    if columns.time.measured is not None:
        when = np.where(columns.time.measured, when, 0.0)
    return [
        hashlib.sha256(step[a:b].tobytes() + when[a:b].tobytes()).digest()
        for a, b in pairwise(begin.tolist())
    ]
