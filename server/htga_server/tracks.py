"""Reading tracks: a track is a layer or a metric of a run on a rank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.wire import SCALARS
from htga_server import packs, pyramid
from htga_server.columns import numbers
from htga_server.pyramid import WINDOW, Cells
from htga_server.tables import cells, metrics, steps, tracks
from htga_server.tables import packs as packs_table

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """Layers, or metrics: their table of rows, and what a row of it measures."""

    name: Literal["layer", "metric"]
    table: sa.Table
    name_id: str
    keys: tuple[str, ...]


# A key's place in its tuple is stored with every cell: new ones go to the end.
LAYERS = Kind("layer", steps, "layer_id", tuple(SCALARS))
METRICS = Kind("metric", metrics, "metric_id", ("value",))


class Track(NamedTuple):
    """The key of a track."""

    kind: Kind
    run_key: int
    name_id: int
    rank: int

    def of(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """The conditions that pick its rows from a table."""
        return _of(table, self, _name_id(table, self.kind) == self.name_id)


class Tracks(NamedTuple):
    """The keys of several tracks on one rank, to be read together."""

    kind: Kind
    run_key: int
    name_ids: tuple[int, ...]
    rank: int

    def of(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """The conditions that pick their rows from a table."""
        return _of(table, self, _name_id(table, self.kind).in_(self.name_ids))


def _name_id(table: sa.Table, kind: Kind) -> sa.Column[int]:
    return table.c.name_id if "name_id" in table.c else table.c[kind.name_id]


def _of(
    table: sa.Table, track: Track | Tracks, named: sa.ColumnElement[bool]
) -> list[sa.ColumnElement[bool]]:
    own = [table.c.run_key == track.run_key, named, table.c.rank == track.rank]
    return own if "kind" not in table.c else [*own, table.c.kind == track.kind.name]


def spans(
    connection: sa.Connection, kind: Kind, run_key: int, *, ranks: Iterable[int]
) -> dict[tuple[int, int], tuple[int, int]]:
    """The first and the last step of each track, by (name_id, rank)."""
    rows = connection.execute(
        sa.select(tracks.c.name_id, tracks.c.rank, tracks.c.first_step, tracks.c.last_step).where(
            tracks.c.run_key == run_key, tracks.c.kind == kind.name, tracks.c.rank.in_(list(ranks))
        )
    )
    return {(name, rank): (first, last) for name, rank, first, last in rows}


def rows_as_cells(
    connection: sa.Connection, track: Track, start: int, stop: int, keys: Sequence[str]
) -> Cells:
    """Rows of `start <= step < stop`, each a cell; of several attempts at a step the latest."""
    return rows_of_all(connection, track, start, stop, keys)[1]


def rows_of_all(
    connection: sa.Connection, track: Track | Tracks, start: int, stop: int, keys: Sequence[str]
) -> tuple[Ints, Cells]:
    """`rows_as_cells` of several tracks, one after the other, and whose (name_id) each row is."""
    table = track.kind.table
    name_id = _name_id(table, track.kind)
    columns = [name_id, table.c.step, table.c.time, *(table.c[key] for key in keys)]
    rows: Sequence[Any] = connection.execute(
        sa.select(*columns)
        .where(*track.of(table), table.c.step >= start, table.c.step < stop)
        .order_by(name_id, table.c.step, table.c.attempt)
    ).all()
    owner = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    step = np.fromiter((row[1] for row in rows), np.int64, len(rows))
    latest = (np.diff(owner, append=-1) | np.diff(step, append=-1)) != 0
    if not latest.all():
        rows = [rows[i] for i in np.flatnonzero(latest).tolist()]
        owner, step = owner[latest], step[latest]
    time, *values = list(zip(*rows, strict=True))[2:] or [()] * (len(columns) - 2)
    measured = {key: numbers(column) for key, column in zip(keys, values, strict=True)}
    return owner, pyramid.of_rows(step, np.array(time, np.float64), measured)


def stored_cells(
    connection: sa.Connection,
    track: Track,
    level: int,
    within: tuple[int, int],
    keys: Sequence[str],
) -> Cells:
    """Cells of a level, `first <= cell < end` where (first, end) is `within`; all complete."""
    return cells_of_all(connection, track, level, within, keys)[1]


def cells_of_all(
    connection: sa.Connection,
    track: Track | Tracks,
    level: int,
    within: tuple[int, int],
    keys: Sequence[str],
) -> tuple[Ints, Cells]:
    """`stored_cells` of several tracks, one after the other, and whose (name_id) each cell is."""
    table = cells.c
    rows = connection.execute(
        sa.select(table.name_id, table.cell, table.rows, table.step, table.time, table.stats)
        .where(*track.of(cells), table.level == level)
        .where(table.cell >= within[0], table.cell < within[1])
        .order_by(table.name_id, table.cell)
    ).all()
    owner, cell, number, step, time, stats = list(zip(*rows, strict=True)) or [()] * 6
    return np.array(owner, np.int64), Cells(
        tuple(keys),
        np.array(cell, np.int64) * pyramid.FACTOR**level,
        np.array(number, np.int64),
        np.array(step, np.int64),
        np.array(time, np.float64),
        pyramid.decode(stats, tuple(keys), track.kind.keys),
    )


def read(
    connection: sa.Connection,
    track: Track,
    start: int,
    stop: int,
    *,
    last_step: int,
    level: int,
    keys: Sequence[str],
) -> Cells:
    """What `start <= step < stop` holds, in cells of `level` and below.

    Args:
        last_step: Of the track; the window that it lies in has no cells yet.
    """
    settled = last_step // WINDOW * WINDOW
    parts = [
        rows_as_cells(connection, track, first, end, keys)
        if at == 0
        else stored_cells(connection, track, at, (first, end), keys)
        for at, first, end in pyramid.cover(start, min(stop, settled), level)
    ]
    if stop > settled:
        parts.append(rows_as_cells(connection, track, max(start, settled), stop, keys))
    return pyramid.concatenate(tuple(keys), parts)


def histograms(
    connection: sa.Connection, track: Track, start: int, stop: int
) -> dict[int, dict[int, bytes]]:
    """Encoded histograms of `start <= step < stop`, by step and attempt, both increasing."""
    table = packs_table
    rows = connection.execute(
        sa.select(table.c.step, table.c.attempt, table.c.data)
        .where(*track.of(table))
        .where(table.c.step >= start // WINDOW * WINDOW, table.c.step < stop)
    )
    found: dict[int, dict[int, bytes]] = {}
    for first, attempt, data in rows:
        for at, blob in packs.items(first, bytes(data)):
            if start <= at < stop:
                found.setdefault(at, {})[attempt] = blob
    return {step: dict(sorted(found[step].items())) for step in sorted(found)}
