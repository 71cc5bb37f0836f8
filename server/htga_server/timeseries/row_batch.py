"""Batches of rows, sorted by request and series."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from htga_client.wire.histogram import Histograms, decode_joined
from htga_server.storage.bulk import Column
from htga_server.timeseries.histogram_blocks import BinaryColumn
from htga_server.timeseries.series_key import SeriesKey

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """R rows of layers or of metrics, sorted by request, name, rank and step, without duplicates.

    Attributes:
        names: The names of the layers or metrics.
        source: The index of the request that each row came with; shape [R], like all that follow.
        name: An index into `names`.
        rank, step, time: The rank, the step and the seconds since the epoch.
        row: The index of the row in its request.
        columns: The measured values, without columns that hold none.
        histogram: The index of the row's histogram in `blobs`, or -1.
        blobs, decoded: The histograms in the order of the rows, encoded and decoded.
    """

    names: tuple[str, ...]
    source: Ints
    name: Ints
    rank: Ints
    step: Ints
    time: NDArray[np.float64]
    row: Ints
    columns: dict[str, Column]
    histogram: Ints
    blobs: BinaryColumn
    decoded: Histograms

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.step.size

    def __getitem__(self, which: slice | NDArray[np.bool_] | Ints) -> Rows:
        """Select rows; `histogram` still points into the same `blobs`."""
        return replace(
            self,
            source=self.source[which],
            name=self.name[which],
            rank=self.rank[which],
            step=self.step[which],
            time=self.time[which],
            row=self.row[which],
            columns={key: column[which] for key, column in self.columns.items()},
            histogram=self.histogram[which],
        )

    def since(self, first: Ints) -> Rows:
        """Select the rows from `first[request]` on of each request."""
        kept = self.row >= first[self.source]
        return self if kept.all() else compact_histograms(self[kept])

    def series(self) -> Iterator[slice]:
        """Yield the slice of each request, name and rank in turn."""
        if self.size:
            changed = np.ones(self.size, np.bool_)
            changed[1:] = self.source[1:] != self.source[:-1]
            changed[1:] |= self.name[1:] != self.name[:-1]
            changed[1:] |= self.rank[1:] != self.rank[:-1]
            bounds = [*np.flatnonzero(changed).tolist(), self.size]
            yield from map(slice, bounds, bounds[1:])

    def values(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        """Return each column as float64, with its mask of measured values."""
        everywhere = np.ones(self.size, np.bool_)
        return {
            key: (c.values.astype(np.float64), everywhere if c.measured is None else c.measured)
            for key, c in self.columns.items()
        }


class Closing(NamedTuple):
    """Windows of one series.

    Attributes:
        key: The series.
        open_window: The window of its last step; that one stays open.
        stored: Windows of which rows are stored, to be read back.
        batch: Rows that come now. Windows that are not in `stored` consist of these alone.
        attempt: The attempt of the batch.
    """

    key: SeriesKey
    open_window: int
    stored: Collection[int]
    batch: Rows | None = None
    attempt: int = 0


def compact_histograms(rows: Rows) -> Rows:
    """Put the histograms into the order of the rows, and drop all others."""
    has = rows.histogram >= 0
    kept = rows.histogram[has]
    if kept.size == rows.blobs.ends.size and (np.diff(kept) == 1).all():
        return rows
    blobs = rows.blobs.take(kept)
    return replace(
        rows,
        histogram=np.where(has, np.cumsum(has) - 1, -1),
        blobs=blobs,
        decoded=decode_joined(blobs.data, blobs.ends),
    )


def sort_rows(rows: Rows) -> Rows:
    """Sort rows, and merge those with one key: the last measured value of a column wins."""
    key = (rows.source, rows.name, rows.rank, rows.step)
    if not _increasing(key):
        rows = rows[np.lexsort(key[::-1])]
        same = _same_as_next(rows)
        rows = _merge_duplicates(rows, same) if same.any() else rows
        rows = compact_histograms(rows)
    return rows


def _increasing(key: Sequence[Ints]) -> bool:
    """Return whether the keys strictly increase in lexicographic order."""
    after = np.zeros(max(0, key[0].size - 1), np.bool_)
    same = ~after
    for part in key:
        change = np.diff(part)
        after |= same & (change > 0)
        same &= change == 0
    return bool(after.all())


def _same_as_next(rows: Rows) -> NDArray[np.bool_]:
    keys = (rows.source, rows.name, rows.rank, rows.step)
    changed = np.any([np.diff(part) != 0 for part in keys], axis=0)
    return np.append(~changed, False)[: rows.size]


def _merge_duplicates(rows: Rows, same: NDArray[np.bool_]) -> Rows:
    last = np.flatnonzero(~same)
    first = np.concatenate(([0], last[:-1] + 1))

    def latest(measured: NDArray[np.bool_]) -> Ints:
        """Return the index of the last measured row of each group, or -1."""
        return np.maximum.reduceat(np.where(measured, np.arange(rows.size), -1), first)

    columns = {}
    for key, column in rows.columns.items():
        if column.measured is not None:
            at = latest(column.measured)
            columns[key] = Column(column.values[np.maximum(at, 0)], at >= 0)
        else:
            columns[key] = Column(column.values[last])
    at = latest(rows.histogram >= 0)
    histogram = np.where(at >= 0, rows.histogram[np.maximum(at, 0)], -1)
    return replace(rows[last], columns=columns, histogram=histogram)
