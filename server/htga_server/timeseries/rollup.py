"""Rollups: summaries of many steps, which cost the same to read at any length. Pure functions.

A cell of level L covers `8**L` steps and holds, for each key, the number of its values, their sum,
minimum, maximum and last. Cells merge into wider ones without loss, and a row is a cell of level 0.
So any range of steps is the merge of a few wide cells in its middle and narrower ones at its ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

FACTOR = 8
MAX_LEVEL = 8
"""The highest level: a cell of it covers `8**8` steps, 16.8 million."""
WINDOW_STEPS = FACTOR**2
"""Steps of a window, which is summarized once a later step arrives."""
MAX_STEP = 2**53
"""Steps are smaller, so that JSON numbers can hold them."""

STAT = np.dtype([("count", "<u4"), ("sum", "<f8"), ("min", "<f8"), ("max", "<f8"), ("last", "<f8")])
Stats = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Rollups:
    """C cells of one series in order of their steps.

    Attributes:
        keys: The K names of what was measured.
        at: The first step that each cell covers, increasing, int64 of shape [C].
        rows: The number of its rows, int64 of shape [C].
        step, time: The step and time of its last row, shape [C].
        stats: Statistics of dtype `STAT`, shape [C, K]. `min` and `max` skip NaN unless all values
            are NaN; where `count` is 0, nothing was measured and min, max and last are NaN.
    """

    keys: tuple[str, ...]
    at: NDArray[np.int64]
    rows: NDArray[np.int64]
    step: NDArray[np.int64]
    time: NDArray[np.float64]
    stats: Stats

    def __getitem__(self, which: slice | NDArray[np.int64]) -> Rollups:
        """Select cells."""
        return Rollups(
            self.keys,
            self.at[which],
            self.rows[which],
            self.step[which],
            self.time[which],
            self.stats[which],
        )


def of_rows(
    step: NDArray[np.int64],
    time: NDArray[np.float64],
    values: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]],
) -> Rollups:
    """Return rows as cells of level 0.

    Args:
        step: Increasing steps, shape [C].
        time: Seconds since the epoch, shape [C].
        values: By key, values of shape [C] and the mask of measured ones.
    """
    stats = np.zeros((step.size, len(values)), STAT)
    if values:
        columns, masks = zip(*values.values(), strict=True)
        measured = np.array(masks).T
        value = np.where(measured, np.array(columns).T, np.nan)
        stats["count"] = measured
        stats["sum"] = np.where(measured, value, 0.0)
        for part in ("min", "max", "last"):
            stats[part] = value
    return Rollups(tuple(values), step, np.ones(step.size, np.int64), step, time, stats)


def merge(cells: Rollups, width: int) -> Rollups:
    """Merge cells into the non-empty ones of `[i * width, (i + 1) * width)`."""
    if cells.at.size == 0:
        return cells
    place = cells.at // width
    first = np.flatnonzero(np.diff(place, prepend=place[0] - 1))
    end = np.append(first[1:], place.size) - 1
    old, new = cells.stats, np.zeros((first.size, len(cells.keys)), STAT)
    seen = np.where(old["count"] > 0, np.arange(place.size)[:, None], -1)
    latest = np.maximum.reduceat(seen, first, axis=0)
    with np.errstate(invalid="ignore", over="ignore"):
        new["count"] = np.add.reduceat(old["count"].astype(np.int64), first, axis=0)
        new["sum"] = np.add.reduceat(old["sum"], first, axis=0)
        new["min"] = np.fmin.reduceat(old["min"], first, axis=0)
        new["max"] = np.fmax.reduceat(old["max"], first, axis=0)
    new["last"] = np.take_along_axis(old["last"], np.maximum(latest, 0), axis=0)
    new["last"][latest < 0] = np.nan
    return Rollups(
        cells.keys,
        place[first] * width,
        np.add.reduceat(cells.rows, first),
        cells.step[end],
        cells.time[end],
        new,
    )


def concatenate(keys: tuple[str, ...], parts: Sequence[Rollups]) -> Rollups:
    """Concatenate cells in the order given; a key that a part lacks was not measured there."""
    stats = [_for_keys(part.stats, part.keys, keys) for part in parts]
    return Rollups(
        keys,
        np.concatenate([np.zeros(0, np.int64), *(part.at for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.rows for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.step for part in parts)]),
        np.concatenate([np.zeros(0), *(part.time for part in parts)]),
        np.concatenate([np.zeros((0, len(keys)), STAT), *stats]),
    )


def join_series(keys: tuple[str, ...], parts: Iterable[tuple[Sequence[str], Rollups]]) -> Rollups:
    """Join cells of several series on the same buckets into cells with all keys.

    Args:
        parts: For each series, the names of its keys among `keys`, and its cells.
    """
    parts = list(parts)
    at = np.unique(np.concatenate([np.zeros(0, np.int64), *(part.at for _, part in parts)]))
    rows, step = np.zeros(at.size, np.int64), np.full(at.size, -1)
    time, stats = np.full(at.size, np.nan), _for_keys(np.zeros((at.size, 0), STAT), (), keys)
    for labels, part in parts:
        place = np.searchsorted(at, part.at)
        rows[place] = np.maximum(rows[place], part.rows)
        later = part.step > step[place]
        step[place[later]], time[place[later]] = part.step[later], part.time[later]
        for column, label in enumerate(labels):
            stats[place, keys.index(label)] = part.stats[:, column]
    return Rollups(keys, at, rows, step, time, stats)


def split_range(start: int, stop: int, level: int) -> list[tuple[int, int, int]]:
    """Split `start <= step < stop` into ranges of cells (level, first, end), widest in the middle.

    No level is above `level`; at level 0 the numbers are steps.
    """
    if start >= stop:
        return []
    if level == 0:
        return [(0, start, stop)]
    width = FACTOR**level
    first, end = -(-start // width), stop // width
    if first >= end:
        return split_range(start, stop, level - 1)
    return [
        *split_range(start, first * width, level - 1),
        (level, first, end),
        *split_range(end * width, stop, level - 1),
    ]


def bucket_width(start: int, stop: int, buckets: int) -> tuple[int, int]:
    """Return the width of the buckets for a range of steps, and the level of cells to read.

    Buckets are `[i * width, (i + 1) * width)` for whole i, so they do not move while a run grows.
    The width is the smallest of 1 to 7 times a power of 8 that makes at most `buckets`.
    """
    for level in range(MAX_LEVEL + 1):
        for times in range(1, FACTOR):
            width = times * FACTOR**level
            if -(-stop // width) - start // width <= buckets:
                return width, level
    if buckets == 1:
        return 2 * MAX_STEP, MAX_LEVEL
    return -(-(stop - start) // ((buckets - 1) * FACTOR**MAX_LEVEL)) * FACTOR**MAX_LEVEL, MAX_LEVEL


def encode(stats: Stats, keys: tuple[str, ...], known: tuple[str, ...]) -> list[bytes]:
    """Encode each cell as the bits of the `known` keys that it has, followed by their stats."""
    encoded = np.zeros(stats.shape[0], _encoded(len(keys)))
    order = sorted(range(len(keys)), key=lambda i: known.index(keys[i]))
    encoded["mask"] = sum(1 << known.index(key) for key in keys)
    encoded["stats"] = stats[:, order]
    size, data = encoded.dtype.itemsize, encoded.tobytes()
    return [data[at : at + size] for at in range(0, len(data), size)]


def decode(blobs: Sequence[bytes], keys: tuple[str, ...], known: tuple[str, ...]) -> Stats:
    """Decode the stats of `keys`, shape [C, K]; the inverse of `encode`."""
    found = _for_keys(np.zeros((len(blobs), 0), STAT), (), keys)
    masks = [blob[:8] for blob in blobs]
    for mask in set(masks):
        bits = int.from_bytes(mask, "little")
        own = tuple(key for i, key in enumerate(known) if bits >> i & 1)
        rows = [row for row, other in enumerate(masks) if other == mask]
        joined = b"".join(blobs) if len(rows) == len(blobs) else b"".join(blobs[r] for r in rows)
        stats = np.frombuffer(joined, _encoded(len(own)))["stats"]
        found[rows] = _for_keys(stats, own, keys)
    return found


@cache
def _encoded(keys: int) -> np.dtype[np.void]:
    return np.dtype([("mask", "<u8"), ("stats", STAT, (keys,))])


def _for_keys(stats: Stats, own: tuple[str, ...], keys: tuple[str, ...]) -> Stats:
    if own == keys:
        return stats
    chosen = np.zeros((stats.shape[0], len(keys)), STAT)
    for part in ("min", "max", "last"):
        chosen[part] = np.nan
    for column, key in enumerate(keys):
        if key in own:
            chosen[:, column] = stats[:, own.index(key)]
    return chosen
