"""The cells of a track, level by level: the lowest two from rows, the others from those below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from htga_server.storage import bulk
from htga_server.storage.tables import cells
from htga_server.timeseries import histogram_compaction as repack
from htga_server.timeseries import rollup as pyramid
from htga_server.timeseries.histogram_compaction import Sums
from htga_server.timeseries.rollup import FACTOR, TOP, WINDOW, Cells
from htga_server.timeseries.series import stored_cells
from htga_server.timeseries.series_key import Track


def lowest(
    track: Track, parts: Sequence[Cells], sums: Sums, written: list[tuple[Any, ...]]
) -> list[int]:
    """Note the cells of the lowest two levels of windows; returns those that hold anything.

    Args:
        parts: Rows that make up their windows, in order, as cells.
    """
    if not any(part.at.size for part in parts):
        return []  # as for most small batches
    present = _measured(track.kind.keys, parts)
    first = pyramid.merge(pyramid.concatenate(present, parts), FACTOR)
    second = pyramid.merge(first, WINDOW)
    written += _as_rows(track, 1, first, {})
    written += _as_rows(track, 2, second, sums)
    return [int(at) for at in (second.at // WINDOW).tolist()]


def above(connection: sa.Connection, track: Track, windows: list[int], now_open: int) -> None:
    """Write every complete cell of the higher levels that holds one of the windows."""
    keys = track.kind.keys
    for level in range(3, TOP + 1):
        in_windows = FACTOR ** (level - 2)
        parents = {window // in_windows for window in windows}
        complete = [parent for parent in parents if (parent + 1) * in_windows <= now_open]
        if not complete:
            return
        written: list[tuple[Any, ...]] = []
        for first, end in stretches(complete):
            below = first * FACTOR, end * FACTOR
            children = stored_cells(connection, track, level - 1, below, keys)
            present = _measured(keys, [children])
            merged = pyramid.merge(pyramid.concatenate(present, [children]), FACTOR**level)
            written += _as_rows(
                track, level, merged, repack.of_children(connection, track, level, below)
            )
        bulk.put(connection, cells, written)


def _as_rows(track: Track, level: int, settled: Cells, sums: Sums) -> list[tuple[Any, ...]]:
    number = settled.at // FACTOR**level
    key = (track.run_key, track.kind.name, track.name_id, track.rank, level)
    return [
        (*key, cell, rows, step, time, stats, *sums.get(cell, (0, None)))
        for cell, rows, step, time, stats in zip(
            number.tolist(),
            settled.rows.tolist(),
            settled.step.tolist(),
            settled.time.tolist(),
            pyramid.encode(settled.stats, settled.keys, track.kind.keys),
            strict=True,
        )
    ]


def _measured(keys: Sequence[str], parts: Sequence[Cells]) -> tuple[str, ...]:
    """Those of the keys that some cell has a value of, in their order."""
    found: set[str] = set()
    for part in parts:
        measured = np.atleast_1d((part.stats["count"] > 0).any(axis=0)).tolist()
        found |= {key for key, is_there in zip(part.keys, measured, strict=True) if is_there}
    return tuple(key for key in keys if key in found)


def stretches(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Whole numbers as stretches (first, end) without holes."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found
