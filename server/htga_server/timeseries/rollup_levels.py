"""The rollups of a series by level: the lowest two from rows, the others from those below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from htga_server.storage import bulk
from htga_server.storage.tables import cells
from htga_server.timeseries import rollup
from htga_server.timeseries.histogram_compaction import Sums, sum_children
from htga_server.timeseries.rollup import FACTOR, MAX_LEVEL, WINDOW_STEPS, Rollups
from htga_server.timeseries.series import read_cells
from htga_server.timeseries.series_key import SeriesKey


def base_levels(
    key: SeriesKey, parts: Sequence[Rollups], sums: Sums, written: list[tuple[Any, ...]]
) -> list[int]:
    """Collect the cells of the lowest two levels; return the windows that hold any row.

    Args:
        parts: Rows that make up whole windows, in order of their steps.
        sums: The histogram sums of the windows.
        written: New rows of the table of cells are added here.
    """
    if not any(part.at.size for part in parts):
        return []  # as for most small batches
    present = _measured(key.kind.keys, parts)
    first = rollup.merge(rollup.concatenate(present, parts), FACTOR)
    second = rollup.merge(first, WINDOW_STEPS)
    written += _as_rows(key, 1, first, {})
    written += _as_rows(key, 2, second, sums)
    return [int(at) for at in (second.at // WINDOW_STEPS).tolist()]


def upper_levels(
    connection: sa.Connection, closed: Sequence[tuple[SeriesKey, list[int], int]]
) -> None:
    """Write every complete cell of the higher levels that holds a closed window.

    Args:
        closed: For each series, the windows that were closed, and its open window.
    """
    for level in range(3, MAX_LEVEL + 1):
        in_windows = FACTOR ** (level - 2)
        written: list[tuple[Any, ...]] = []
        for key, windows, open_window in closed:
            parents = {window // in_windows for window in windows}
            complete = [parent for parent in parents if (parent + 1) * in_windows <= open_window]
            for first, end in join_ranges(complete):
                below, keys = (first * FACTOR, end * FACTOR), key.kind.keys
                _, children = read_cells(connection, key, level - 1, below, keys)
                present = _measured(keys, [children])
                merged = rollup.merge(rollup.concatenate(present, [children]), FACTOR**level)
                written += _as_rows(key, level, merged, sum_children(connection, key, level, below))
        if not written:
            return
        bulk.upsert(connection, cells, written)


def join_ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return whole numbers as ranges [first, end) without gaps."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found


def _as_rows(key: SeriesKey, level: int, rollups: Rollups, sums: Sums) -> list[tuple[Any, ...]]:
    number = rollups.at // FACTOR**level
    prefix = (key.run_key, key.kind.name, key.name_id, key.rank, level)
    return [
        (*prefix, cell, rows, step, time, stats, *sums.get(cell, (0, None)))
        for cell, rows, step, time, stats in zip(
            number.tolist(),
            rollups.rows.tolist(),
            rollups.step.tolist(),
            rollups.time.tolist(),
            rollup.encode(rollups.stats, rollups.keys, key.kind.keys),
            strict=True,
        )
    ]


def _measured(keys: Sequence[str], parts: Sequence[Rollups]) -> tuple[str, ...]:
    """Return those keys that have a value in any part, in their order."""
    found: set[str] = set()
    for part in parts:
        measured = np.atleast_1d((part.stats["count"] > 0).any(axis=0)).tolist()
        found |= {name for name, is_there in zip(part.keys, measured, strict=True) if is_there}
    return tuple(name for name in keys if name in found)
