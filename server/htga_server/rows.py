"""Rows of a request, sorted by what they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from htga_client.histogram import Histograms, decode_joined
from htga_client.wire import Rejection
from htga_server.bulk import Column
from htga_server.events import Happened
from htga_server.packs import Blobs

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of layers or of metrics, sorted by name, rank and step; no key comes twice.

    Attributes:
        names: Names of the layers or metrics.
        name: Index into `names`, shape [R], like all that follow.
        rank, step, time: Of each row.
        row: Its index in the request.
        columns: What was measured; a column in which nothing was is left out.
        histogram: Index of its histogram in `blobs`, or -1.
        blobs, decoded: The histograms in the order of the rows.
    """

    names: tuple[str, ...]
    name: Ints
    rank: Ints
    step: Ints
    time: NDArray[np.float64]
    row: Ints
    columns: dict[str, Column]
    histogram: Ints
    blobs: Blobs
    decoded: Histograms

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.step.size

    def __getitem__(self, which: slice | NDArray[np.bool_] | Ints) -> Rows:
        """Some of the rows; `histogram` still points into the same `blobs`."""
        return replace(
            self,
            name=self.name[which],
            rank=self.rank[which],
            step=self.step[which],
            time=self.time[which],
            row=self.row[which],
            columns={
                key: Column(c.values[which], None if c.measured is None else c.measured[which])
                for key, c in self.columns.items()
            },
            histogram=self.histogram[which],
        )

    def since(self, row: int) -> Rows:
        """The rows from this one of the request on."""
        return self if row == 0 else in_step(self[self.row >= row])

    def tracks(self) -> Iterator[Rows]:
        """The rows of each name and rank in turn."""
        if self.size:
            changed = np.diff(self.name, prepend=-1) | np.diff(self.rank, prepend=-1)
            bounds = [*np.flatnonzero(changed).tolist(), self.size]
            for begin, end in pairwise(bounds):
                yield self[begin:end]

    def values(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        """The columns as float64 and masks of what was measured."""
        everywhere = np.ones(self.size, np.bool_)
        return {
            key: (c.values.astype(np.float64), everywhere if c.measured is None else c.measured)
            for key, c in self.columns.items()
        }


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request's rows, ready to be stored.

    Attributes:
        sent: How many there were.
        steps, metrics: What can be stored.
        events: What happened, likewise.
        rejected: What cannot, and why.
        digest: Tells these rows from others that were sent under the same numbers.
        last_step: The highest step, or None without a row.
    """

    sent: int
    steps: Rows
    metrics: Rows
    events: tuple[Happened, ...]
    rejected: tuple[Rejection, ...]
    digest: bytes
    last_step: int | None = field(default=None)

    def reach(self) -> dict[int, tuple[int, int]]:
        """The first and the last step of each rank."""
        rank = np.concatenate([self.steps.rank, self.metrics.rank])
        step = np.concatenate([self.steps.step, self.metrics.step])
        return {
            one: (int(step[rank == one].min()), int(step[rank == one].max()))
            for one in np.unique(rank).tolist()
        }


def in_step(rows: Rows) -> Rows:
    """The same rows with their histograms in the same order, and no others."""
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
