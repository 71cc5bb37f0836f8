"""Reading tracks: a track is a layer or a metric of a run on a rank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
import sqlalchemy as sa

from htga_client.wire import SCALARS
from htga_server import packs, pyramid
from htga_server.columns import numbers
from htga_server.pyramid import WINDOW, Cells
from htga_server.tables import cells, metrics, steps, tracks
from htga_server.tables import packs as packs_table


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
        return _own(self.kind, table, self.run_key, self.name_id, self.rank)

    def between(self, start: int, stop: int) -> dict[str, int]:
        """The parameters of a statement that has the conditions of `of_track`."""
        return {
            "run_key": self.run_key,
            "name_id": self.name_id,
            "rank": self.rank,
            "start": start,
            "stop": stop,
        }


def of_track(kind: Kind, table: sa.Table, place: sa.Column[Any]) -> list[sa.ColumnElement[bool]]:
    """The conditions that pick `start <= place < stop` of a track, for `Track.between` to fill in.

    For statements that are built once: building one takes longer than executing it.
    """
    own = _own(kind, table, *map(sa.bindparam, ("run_key", "name_id", "rank")))
    return [*own, place >= sa.bindparam("start"), place < sa.bindparam("stop")]


def _own(
    kind: Kind, table: sa.Table, run_key: Any, name_id: Any, rank: Any
) -> list[sa.ColumnElement[bool]]:
    named = table.c.name_id if "name_id" in table.c else table.c[kind.name_id]
    own = [table.c.run_key == run_key, named == name_id, table.c.rank == rank]
    return own if "kind" not in table.c else [*own, table.c.kind == kind.name]


_SPANS = sa.select(tracks.c.name_id, tracks.c.rank, tracks.c.first_step, tracks.c.last_step).where(
    tracks.c.run_key == sa.bindparam("run_key"),
    tracks.c.kind == sa.bindparam("kind"),
    tracks.c.rank.in_(sa.bindparam("ranks", expanding=True)),
)


def spans(
    connection: sa.Connection, kind: Kind, run_key: int, *, ranks: Iterable[int]
) -> dict[tuple[int, int], tuple[int, int]]:
    """The first and the last step of each track, by (name_id, rank)."""
    which = {"run_key": run_key, "kind": kind.name, "ranks": list(ranks)}
    rows = connection.execute(_SPANS, which)
    return {(name, rank): (first, last) for name, rank, first, last in rows}


@cache
def _rows(kind: Kind, keys: tuple[str, ...]) -> sa.Select[Any]:
    columns = kind.table.c
    return (
        sa.select(columns.step, columns.time, *(columns[key] for key in keys))
        .where(*of_track(kind, kind.table, columns.step))
        .order_by(columns.step, columns.attempt)
    )


@cache
def _stored_cells(kind: Kind) -> sa.Select[Any]:
    return (
        sa.select(cells.c.cell, cells.c.rows, cells.c.step, cells.c.time, cells.c.stats)
        .where(*of_track(kind, cells, cells.c.cell), cells.c.level == sa.bindparam("level"))
        .order_by(cells.c.cell)
    )


_PACKS = sa.select(packs_table.c.step, packs_table.c.attempt, packs_table.c.data).where(
    *of_track(LAYERS, packs_table, packs_table.c.step)
)


def rows_as_cells(
    connection: sa.Connection, track: Track, start: int, stop: int, keys: Sequence[str]
) -> Cells:
    """Rows of `start <= step < stop`, each a cell; of several attempts at a step the latest."""
    rows: Sequence[Any] = connection.execute(
        _rows(track.kind, tuple(keys)), track.between(start, stop)
    ).all()
    step = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    latest = np.diff(step, append=-1) != 0
    if not latest.all():
        rows, step = [rows[i] for i in np.flatnonzero(latest).tolist()], step[latest]
    time, *values = list(zip(*rows, strict=True))[1:] or [()] * (1 + len(keys))
    measured = {key: numbers(column) for key, column in zip(keys, values, strict=True)}
    return pyramid.of_rows(step, np.array(time, np.float64), measured)


def stored_cells(
    connection: sa.Connection,
    track: Track,
    level: int,
    stretch: tuple[int, int],
    keys: Sequence[str],
) -> Cells:
    """Cells of a level, `first <= cell < end` where (first, end) is `stretch`; all complete."""
    rows = connection.execute(
        _stored_cells(track.kind), {**track.between(*stretch), "level": level}
    ).all()
    cell, number, step, time, stats = list(zip(*rows, strict=True)) or [()] * 5
    return Cells(
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
    rows = connection.execute(_PACKS, track.between(start // WINDOW * WINDOW, stop))
    found: dict[int, dict[int, bytes]] = {}
    for first, attempt, data in rows:
        for at, blob in packs.items(first, bytes(data)):
            if start <= at < stop:
                found.setdefault(at, {})[attempt] = blob
    return {step: dict(sorted(found[step].items())) for step in sorted(found)}
