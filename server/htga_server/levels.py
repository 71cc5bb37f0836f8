"""The cells of a track, level by level: the lowest two from rows, the others from those below."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from htga_server import bulk, pyramid, repack
from htga_server.pyramid import FACTOR, TOP, WINDOW, Cells
from htga_server.repack import Sums
from htga_server.rows import Rows
from htga_server.tables import cells
from htga_server.tracks import Track, rows_as_cells, stored_cells


def lowest(
    connection: sa.Connection,
    track: Track,
    *,
    stored: Iterable[tuple[int, int]],
    whole: Rows | None,
    sums: Sums,
    written: list[tuple[Any, ...]],
) -> list[int]:
    """Note the cells of the lowest two levels of windows; returns those that hold anything.

    Args:
        stored: Stretches of windows to be read from the database, all before the rows of `whole`.
        whole: Rows that make up their windows.
    """
    keys, stored = track.kind.keys, list(stored)
    if not stored and (whole is None or whole.size == 0):
        return []  # as for most small batches
    parts = [
        rows_as_cells(connection, track, first * WINDOW, end * WINDOW, keys)
        for first, end in stored
    ]
    if whole is not None and whole.size:
        parts.append(pyramid.of_rows(whole.step, whole.time, whole.values()))
    present = tuple(key for key in keys if any(_has(cell, key) for cell in parts))
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
            present = tuple(key for key in keys if _has(children, key))
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


def _has(cell: Cells, key: str) -> bool:
    return key in cell.keys and bool(cell.stats["count"][:, cell.keys.index(key)].any())


def stretches(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Whole numbers as stretches (first, end) without holes."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found
