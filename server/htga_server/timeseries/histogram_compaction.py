"""Packing the histograms of a window together, and adding them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.wire.histogram import decode_all
from htga_server.storage import bulk
from htga_server.storage.tables import cells
from htga_server.storage.tables import packs as table
from htga_server.timeseries import histogram_blocks as packs
from htga_server.timeseries.histogram_blocks import add_up
from htga_server.timeseries.rollup import FACTOR, WINDOW
from htga_server.timeseries.row_batch import Rows
from htga_server.timeseries.series import histograms
from htga_server.timeseries.series_key import LAYERS, Track, between, of_tracks

Sums = dict[int, tuple[int, bytes]]
"""By window or cell, how many histograms were added up, and their sum."""
Packed = list[tuple[Any, ...]]
"""Rows of the table of packs, to be written."""


_REMOVE = sa.delete(table).where(
    *of_tracks(LAYERS, table, table.c.step), table.c.attempt == sa.bindparam("attempt")
)
_CHILDREN = (
    sa.select(cells.c.cell, cells.c.histograms, cells.c.histogram)
    .where(*of_tracks(LAYERS, cells, cells.c.cell), cells.c.level == sa.bindparam("level"))
    .where(cells.c.histograms > 0)
    .order_by(cells.c.cell)
)


def of_windows(
    connection: sa.Connection, wanted: Sequence[tuple[Track, int]]
) -> list[dict[int, dict[int, bytes]]]:
    """`tracks.histograms` of windows, of whatever runs, in one statement."""
    keys = [(t.run_key, t.name_id, t.rank, at * WINDOW, (at + 1) * WINDOW) for t, at in wanted]
    rows = bulk.of_stretches(
        connection, table, ("run_key", LAYERS.name_id, "rank"), ("step", "attempt", "data"), keys
    )
    found: list[dict[int, dict[int, bytes]]] = [{} for _ in wanted]
    for at, first, attempt, data in rows:
        for step, blob in packs.items(first, bytes(data)):
            found[at].setdefault(step, {})[attempt] = blob
    return found


def of_batch(
    connection: sa.Connection,
    track: Track,
    part: Rows,
    *,
    attempt: int,
    stored: Mapping[int, dict[int, dict[int, bytes]]],
    now_open: int,
    packed: Packed,
) -> Sums:
    """Note the packs of the batch's histograms; returns the sums of windows settled now.

    Args:
        stored: The histograms, by step and attempt, of the windows that are stored in part.
    """
    key = (track.run_key, track.name_id, track.rank)
    sums: Sums = {}
    has = part.histogram >= 0
    own = part if has.all() else part[has]
    window = own.step // WINDOW
    places: dict[int, slice] = {}
    for where in _stretches(window):
        at = int(window[where.start])
        if at in stored:
            continue
        place = slice(int(own.histogram[where.start]), int(own.histogram[where.stop - 1]) + 1)
        step = own.step[where]
        packed.append((*key, int(step[0]), attempt, packs.pack(step, own.blobs[place])))
        if at < now_open:
            places[at] = place
    for at, total in zip(places, add_up(own.decoded, list(places.values())), strict=True):
        sums[at] = (places[at].stop - places[at].start, total)
    for at, found in stored.items():
        mine = window == at
        blobs = own.blobs.take(own.histogram[mine]).to_list()
        new = dict(zip(own.step[mine].tolist(), blobs, strict=True))
        for step, blob in new.items():
            found.setdefault(step, {})[attempt] = blob
        latest = _repack(connection, track, at, attempt=attempt, found=found, packed=packed)
        if latest and at < now_open:
            sums[at] = _sum_of(latest)
    return sums


def of_stored(connection: sa.Connection, track: Track, windows: range, packed: Packed) -> Sums:
    """The sums of stored histograms, whose packs of each window are made one."""
    if track.kind is not LAYERS:
        return {}
    sums: Sums = {}
    start, stop = windows.start * WINDOW, windows.stop * WINDOW
    found = histograms(connection, track, start, stop)
    connection.execute(
        sa.delete(table).where(*track.of(table), table.c.step >= start, table.c.step < stop)
    )
    for window, steps in groupby(found, lambda step: step // WINDOW):
        own = {step: found[step] for step in steps}
        for attempt in sorted({attempt for attempts in own.values() for attempt in attempts}):
            blobs = {step: a[attempt] for step, a in own.items() if attempt in a}
            packed.append(_row(track, attempt, blobs))
        latest = [attempts[max(attempts)] for attempts in own.values()]
        sums[window] = _sum_of(latest)
    return sums


def of_children(
    connection: sa.Connection, track: Track, level: int, children: tuple[int, int]
) -> Sums:
    """The sums of cells of a level, by cell, from those one level below: [first, end)."""
    if track.kind is not LAYERS:
        return {}
    rows = connection.execute(_CHILDREN, between(track, *children, level=level - 1)).all()
    decoded = decode_all([bytes(row.histogram) for row in rows])
    place = np.array([row.cell // FACTOR for row in rows], np.int64)
    number = np.array([row.histograms for row in rows], np.int64)
    stretches = _stretches(place)
    return {
        int(place[own.start]): (int(number[own].sum()), total)
        for own, total in zip(stretches, add_up(decoded, stretches), strict=True)
    }


def _repack(
    connection: sa.Connection,
    track: Track,
    window: int,
    *,
    attempt: int,
    found: dict[int, dict[int, bytes]],
    packed: Packed,
) -> list[bytes]:
    """Make one pack of an attempt's histograms in a window; returns the latest of each step."""
    start, stop = window * WINDOW, (window + 1) * WINDOW
    own = {step: found[step][attempt] for step in sorted(found) if attempt in found[step]}
    if own:
        connection.execute(_REMOVE, between(track, start, stop, attempt=attempt))
        packed.append(_row(track, attempt, own))
    return [attempts[max(attempts)] for _, attempts in sorted(found.items())]


def _sum_of(blobs: Sequence[bytes]) -> tuple[int, bytes]:
    return len(blobs), add_up(decode_all(blobs), [slice(0, len(blobs))])[0]


def _stretches(values: NDArray[np.int64]) -> Sequence[slice]:
    """The stretches of equal values."""
    bounds = [*np.flatnonzero(np.diff(values, prepend=values[:1] - 1)).tolist(), values.size]
    return [slice(begin, end) for begin, end in pairwise(bounds)]


def _row(track: Track, attempt: int, blobs: dict[int, bytes]) -> tuple[Any, ...]:
    step = np.array(list(blobs), np.int64)
    data = packs.pack(step, packs.of_list(list(blobs.values())))
    return (track.run_key, track.name_id, track.rank, int(step[0]), attempt, data)
