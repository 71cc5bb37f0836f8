"""Compacting the histograms of a window into one block for each attempt, and summing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.wire.histogram import decode_all
from htga_server.storage import bulk
from htga_server.storage.tables import cells, packs
from htga_server.timeseries.histogram_blocks import (
    decode_items,
    encode_block,
    from_list,
    sum_histograms,
)
from htga_server.timeseries.rollup import FACTOR, WINDOW_STEPS
from htga_server.timeseries.row_batch import Closing
from htga_server.timeseries.series_key import (
    LAYERS,
    SeriesKey,
    SeriesKind,
    range_conditions,
    range_parameters,
)

Sums = dict[int, tuple[int, bytes]]
"""By window or cell, how many histograms were summed, and their sum."""
Blocks = list[tuple[Any, ...]]
"""New rows of the table of packs."""

_DELETE = sa.delete(packs).where(
    *range_conditions(LAYERS, packs, packs.c.step), packs.c.attempt == sa.bindparam("attempt")
)
_CHILDREN = (
    sa.select(cells.c.cell, cells.c.histograms, cells.c.histogram)
    .where(*range_conditions(LAYERS, cells, cells.c.cell), cells.c.level == sa.bindparam("level"))
    .where(cells.c.histograms > 0)
    .order_by(cells.c.cell)
)


class _Stored:
    """The histograms of one window that are stored.

    Attributes:
        histograms: By step and attempt.
        blocks: The number of blocks of each attempt.
    """

    def __init__(self) -> None:
        self.histograms: dict[int, dict[int, bytes]] = {}
        self.blocks: Counter[int] = Counter()


def compact(
    connection: sa.Connection, kind: SeriesKind, closings: Sequence[Closing], blocks: Blocks
) -> list[Sums]:
    """Collect the new blocks of windows; return for each closing the sums of its closed windows."""
    if kind is not LAYERS:
        return [{} for _ in closings]
    stored = iter(_read_windows(connection, [(c.key, at) for c in closings for at in c.stored]))
    found = []
    for closing in closings:
        sums = _compact_batch(closing, blocks)
        for window in closing.stored:
            latest = _compact_stored(connection, closing, window, next(stored), blocks)
            if latest and window < closing.open_window:
                total = sum_histograms(decode_all(latest), [slice(0, len(latest))])
                sums[window] = len(latest), total[0]
        found.append(sums)
    return found


def sum_children(
    connection: sa.Connection, key: SeriesKey, level: int, children: tuple[int, int]
) -> Sums:
    """Return the sums of cells of a level, by cell, from those one level below: [first, end)."""
    if key.kind is not LAYERS:
        return {}
    rows = connection.execute(_CHILDREN, range_parameters(key, *children, level=level - 1)).all()
    decoded = decode_all([bytes(row.histogram) for row in rows])
    parent = np.array([row.cell // FACTOR for row in rows], np.int64)
    number = np.array([row.histograms for row in rows], np.int64)
    groups = _equal_values(parent)
    return {
        int(parent[own.start]): (int(number[own].sum()), total)
        for own, total in zip(groups, sum_histograms(decoded, groups), strict=True)
    }


def _compact_batch(closing: Closing, blocks: Blocks) -> Sums:
    """Compact the windows that are in the batch alone."""
    batch = closing.batch
    if batch is None:
        return {}
    has = batch.histogram >= 0
    own = batch if has.all() else batch[has]
    window = own.step // WINDOW_STEPS
    places: dict[int, slice] = {}
    for where in _equal_values(window):
        at = int(window[where.start])
        if at not in closing.stored:
            place = slice(int(own.histogram[where.start]), int(own.histogram[where.stop - 1]) + 1)
            blocks.append(_row(closing.key, closing.attempt, own.step[where], own.blobs[place]))
            if at < closing.open_window:
                places[at] = place
    totals = sum_histograms(own.decoded, list(places.values()))
    return {
        at: (place.stop - place.start, total)
        for (at, place), total in zip(places.items(), totals, strict=True)
    }


def _compact_stored(
    connection: sa.Connection, closing: Closing, window: int, stored: _Stored, blocks: Blocks
) -> list[bytes]:
    """Merge a stored window with the batch; return the latest attempt's histogram of each step."""
    scattered = {attempt for attempt, number in stored.blocks.items() if number > 1}
    if (batch := closing.batch) is not None:
        new = batch[(batch.step // WINDOW_STEPS == window) & (batch.histogram >= 0)]
        for step, blob in zip(
            new.step.tolist(), new.blobs.take(new.histogram).to_list(), strict=True
        ):
            stored.histograms.setdefault(step, {})[closing.attempt] = blob
            scattered.add(closing.attempt)
    steps = sorted(stored.histograms)
    for attempt in sorted(scattered):
        bounds = range_parameters(closing.key, *_bounds(window), attempt=attempt)
        connection.execute(_DELETE, bounds)
        own = [step for step in steps if attempt in stored.histograms[step]]
        blobs = from_list([stored.histograms[step][attempt] for step in own])
        blocks.append(_row(closing.key, attempt, np.array(own, np.int64), blobs))
    return [stored.histograms[step][max(stored.histograms[step])] for step in steps]


def _read_windows(
    connection: sa.Connection, wanted: Sequence[tuple[SeriesKey, int]]
) -> list[_Stored]:
    """Return the stored histograms of windows, of any runs, with one statement."""
    ranges = [(k.run_key, k.name_id, k.rank, *_bounds(window)) for k, window in wanted]
    names = ("step", "attempt", "data")
    rows = bulk.select_ranges(connection, packs, ("run_key", LAYERS.name_id, "rank"), names, ranges)
    found = [_Stored() for _ in wanted]
    for at, first, attempt, data in rows:
        found[at].blocks[attempt] += 1
        for step, blob in decode_items(first, bytes(data)):
            found[at].histograms.setdefault(step, {})[attempt] = blob
    return found


def _bounds(window: int) -> tuple[int, int]:
    return window * WINDOW_STEPS, (window + 1) * WINDOW_STEPS


def _equal_values(values: NDArray[np.int64]) -> list[slice]:
    """Return the runs of equal values in a sorted array."""
    bounds = [*np.flatnonzero(np.diff(values, prepend=values[:1] - 1)).tolist(), values.size]
    return [slice(begin, end) for begin, end in pairwise(bounds)]


def _row(key: SeriesKey, attempt: int, step: NDArray[np.int64], blobs: Any) -> tuple[Any, ...]:
    return (*key[1:], int(step[0]), attempt, encode_block(step, blobs))
