"""Summaries of many steps that cost the same to read at any length. Pure functions of arrays.

A cell of level L covers `8**L` steps and says, per key, how many values it saw, their sum, minimum,
maximum and last. Cells merge into wider ones without loss, and a row is a cell of level 0; so any
stretch of steps is the merge of a few wide cells in its midst and ever narrower ones at its ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

FACTOR = 8
TOP = 8
"""Highest level that is kept: `8**8` steps, 16.8 million, to a cell."""
WINDOW = FACTOR**2
"""Steps that are summarised together, once a later one has come."""
MAX_STEP = 2**53
"""Steps stay below it, so that JSON can say each of them."""

STAT = np.dtype(
    [("count", "<u4"), ("total", "<f8"), ("low", "<f8"), ("high", "<f8"), ("last", "<f8")]
)
Stats = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of one track in order of their steps.

    Attributes:
        keys: The names of what was measured, K of them.
        at: First step that a cell covers, int64 of shape [C], increasing.
        rows: Number of rows in it, int64 of shape [C].
        step, time: Of its last row, shape [C].
        stats: Of dtype `STAT` and shape [C, K]. `low` and `high` pass over NaN unless there is
            nothing else; where `count` is 0 nothing was measured, and all three are NaN.
    """

    keys: tuple[str, ...]
    at: NDArray[np.int64]
    rows: NDArray[np.int64]
    step: NDArray[np.int64]
    time: NDArray[np.float64]
    stats: Stats

    def __getitem__(self, which: slice | NDArray[np.int64]) -> Cells:
        """Some of them."""
        return Cells(
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
) -> Cells:
    """Rows as cells of level 0.

    Args:
        step: Increasing, shape [C].
        time: Shape [C].
        values: By key, values of shape [C] and a mask that says which of them were measured.
    """
    stats = np.zeros((step.size, len(values)), STAT)
    if values:
        columns, masks = zip(*values.values(), strict=True)
        measured = np.array(masks).T
        value = np.where(measured, np.array(columns).T, np.nan)
        stats["count"] = measured
        stats["total"] = np.where(measured, value, 0.0)
        for part in ("low", "high", "last"):
            stats[part] = value
    return Cells(tuple(values), step, np.ones(step.size, np.int64), step, time, stats)


def merge(cells: Cells, width: int) -> Cells:
    """The cells `[i * width, (i + 1) * width)` that hold anything, each from all that lie in it."""
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
        new["total"] = np.add.reduceat(old["total"], first, axis=0)
        new["low"] = np.fmin.reduceat(old["low"], first, axis=0)
        new["high"] = np.fmax.reduceat(old["high"], first, axis=0)
    new["last"] = np.take_along_axis(old["last"], np.maximum(latest, 0), axis=0)
    new["last"][latest < 0] = np.nan
    return Cells(
        cells.keys,
        place[first] * width,
        np.add.reduceat(cells.rows, first),
        cells.step[end],
        cells.time[end],
        new,
    )


def concatenate(keys: tuple[str, ...], parts: Sequence[Cells]) -> Cells:
    """Cells of several stretches, in the order given; a key that one lacks was not measured."""
    stats = [_for_keys(part.stats, part.keys, keys) for part in parts]
    return Cells(
        keys,
        np.concatenate([np.zeros(0, np.int64), *(part.at for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.rows for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.step for part in parts)]),
        np.concatenate([np.zeros(0), *(part.time for part in parts)]),
        np.concatenate([np.zeros((0, len(keys)), STAT), *stats]),
    )


def beside(keys: tuple[str, ...], parts: Iterable[tuple[Sequence[str], Cells]]) -> Cells:
    """Cells of several tracks on the same buckets as those of one track, which has all keys.

    Args:
        parts: Cells, and what each of their keys is called among `keys`.
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
    return Cells(keys, at, rows, step, time, stats)


def cover(start: int, stop: int, level: int) -> list[tuple[int, int, int]]:
    """`start <= step < stop` as stretches of cells (level, first, end), widest in the midst.

    No level is above `level`; at level 0 the numbers are steps.
    """
    if start >= stop:
        return []
    if level == 0:
        return [(0, start, stop)]
    width = FACTOR**level
    first, end = -(-start // width), stop // width
    if first >= end:
        return cover(start, stop, level - 1)
    return [
        *cover(start, first * width, level - 1),
        (level, first, end),
        *cover(end * width, stop, level - 1),
    ]


def grid(start: int, stop: int, buckets: int) -> tuple[int, int]:
    """Width of the buckets that a range of steps is shown in, and the level that serves them.

    Buckets are `[i * width, (i + 1) * width)` for whole i, so they stay where they are while a run
    grows; the width is the smallest of 1 to 8 times a power of 8 that makes at most `buckets`.
    """
    for level in range(TOP + 1):
        for times in range(1, FACTOR):
            width = times * FACTOR**level
            if -(-stop // width) - start // width <= buckets:
                return width, level
    if buckets == 1:
        return 2 * MAX_STEP, TOP
    return -(-(stop - start) // ((buckets - 1) * FACTOR**TOP)) * FACTOR**TOP, TOP


def encode(stats: Stats, keys: tuple[str, ...], known: tuple[str, ...]) -> list[bytes]:
    """One byte string per cell: which of the `known` keys it has, as bits, and their stats."""
    packed = np.zeros(stats.shape[0], _packed(len(keys)))
    order = sorted(range(len(keys)), key=lambda i: known.index(keys[i]))
    packed["mask"] = sum(1 << known.index(key) for key in keys)
    packed["stats"] = stats[:, order]
    size, data = packed.dtype.itemsize, packed.tobytes()
    return [data[at : at + size] for at in range(0, len(data), size)]


def decode(blobs: Sequence[bytes], keys: tuple[str, ...], known: tuple[str, ...]) -> Stats:
    """The stats of `keys`, shape [C, K], from what `encode` made."""
    found = _for_keys(np.zeros((len(blobs), 0), STAT), (), keys)
    masks = [blob[:8] for blob in blobs]
    for mask in set(masks):
        bits = int.from_bytes(mask, "little")
        own = tuple(key for i, key in enumerate(known) if bits >> i & 1)
        rows = [row for row, other in enumerate(masks) if other == mask]
        joined = b"".join(blobs) if len(rows) == len(blobs) else b"".join(blobs[r] for r in rows)
        stats = np.frombuffer(joined, _packed(len(own)))["stats"]
        found[rows] = _for_keys(stats, own, keys)
    return found


@cache
def _packed(keys: int) -> np.dtype[np.void]:
    return np.dtype([("mask", "<u8"), ("stats", STAT, (keys,))])


def _for_keys(stats: Stats, own: tuple[str, ...], keys: tuple[str, ...]) -> Stats:
    if own == keys:
        return stats
    chosen = np.zeros((stats.shape[0], len(keys)), STAT)
    for part in ("low", "high", "last"):
        chosen[part] = np.nan
    for column, key in enumerate(keys):
        if key in own:
            chosen[:, column] = stats[:, own.index(key)]
    return chosen
