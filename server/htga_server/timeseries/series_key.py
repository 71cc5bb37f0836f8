"""What names a series: a layer or a metric of a run, on a rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from htga_client.wire import SCALARS
from htga_server.storage.tables import metrics, steps


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

    @property
    def name_ids(self) -> tuple[int, ...]:
        """Its name, as `Tracks` has names."""
        return (self.name_id,)

    def of(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """The conditions that pick its rows from a table."""
        return _of(table, self.kind, self.run_key, self.name_ids, self.rank)


class Tracks(NamedTuple):
    """The keys of several tracks on one rank, to be read together."""

    kind: Kind
    run_key: int
    name_ids: tuple[int, ...]
    rank: int


def of_tracks(kind: Kind, table: sa.Table, place: sa.Column[Any]) -> list[sa.ColumnElement[bool]]:
    """The conditions that pick `start <= place < stop` of tracks; `between` has the parameters.

    For statements that are built once: building one takes longer than executing it.
    """
    names: sa.BindParameter[Any] = sa.bindparam("name_ids", expanding=True)
    own = _of(table, kind, sa.bindparam("run_key"), names, sa.bindparam("rank"))
    return [*own, place >= sa.bindparam("start"), place < sa.bindparam("stop")]


def between(track: Track | Tracks, start: int, stop: int, **others: int) -> dict[str, Any]:
    """The parameters of a statement with the conditions of `of_tracks`, and its others."""
    own = {"run_key": track.run_key, "name_ids": track.name_ids, "rank": track.rank}
    return {**own, "start": start, "stop": stop, **others}


def name_id_column(table: sa.Table, kind: Kind) -> sa.Column[int]:
    """The column of a table that holds the name of a series as a number."""
    return table.c.name_id if "name_id" in table.c else table.c[kind.name_id]


def _of(
    table: sa.Table, kind: Kind, run_key: Any, name_ids: Any, rank: Any
) -> list[sa.ColumnElement[bool]]:
    named = name_id_column(table, kind).in_(name_ids)
    own = [table.c.run_key == run_key, named, table.c.rank == rank]
    return own if "kind" not in table.c else [*own, table.c.kind == kind.name]
