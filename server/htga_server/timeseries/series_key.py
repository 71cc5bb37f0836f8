"""What identifies a series: a layer or a metric of a run, on a rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from htga_client.wire import SCALARS
from htga_server.storage.tables import metrics, steps


@dataclass(frozen=True, slots=True, eq=False)
class SeriesKind:
    """Layers or metrics: the table of their rows, and the columns that hold values."""

    name: Literal["layer", "metric"]
    table: sa.Table
    name_id: str
    keys: tuple[str, ...]


# The place of a key in its tuple is stored with every rollup: append new ones at the end.
LAYERS = SeriesKind("layer", steps, "layer_id", tuple(SCALARS))
METRICS = SeriesKind("metric", metrics, "metric_id", ("value",))
KINDS = {kind.name: kind for kind in (LAYERS, METRICS)}


class SeriesKey(NamedTuple):
    """The key of one series."""

    kind: SeriesKind
    run_key: int
    name_id: int
    rank: int

    @property
    def name_ids(self) -> tuple[int, ...]:
        """The name, in the form that `SeriesKeys` has."""
        return (self.name_id,)

    def conditions(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """Return the conditions that select its rows from a table."""
        return _conditions(table, self.kind, self.run_key, self.name_ids, self.rank)


class SeriesKeys(NamedTuple):
    """The keys of several series of one run and rank, to be read together."""

    kind: SeriesKind
    run_key: int
    name_ids: tuple[int, ...]
    rank: int


OneOrMore = SeriesKey | SeriesKeys


def range_conditions(
    kind: SeriesKind, table: sa.Table, column: sa.Column[Any]
) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that select `start <= column < stop` of series.

    The values come from `range_parameters`, so that a statement can be built once: building one
    takes longer than executing it.
    """
    names: sa.BindParameter[Any] = sa.bindparam("name_ids", expanding=True)
    own = _conditions(table, kind, sa.bindparam("run_key"), names, sa.bindparam("rank"))
    return [*own, column >= sa.bindparam("start"), column < sa.bindparam("stop")]


def range_parameters(key: OneOrMore, start: int, stop: int, **others: int) -> dict[str, Any]:
    """Return the parameters of a statement with `range_conditions`, and its other ones."""
    own = {"run_key": key.run_key, "name_ids": key.name_ids, "rank": key.rank}
    return {**own, "start": start, "stop": stop, **others}


def name_id_column(table: sa.Table, kind: SeriesKind) -> sa.Column[int]:
    """Return the column of a table that holds the name of a series as a number."""
    return table.c.name_id if "name_id" in table.c else table.c[kind.name_id]


def _conditions(
    table: sa.Table, kind: SeriesKind, run_key: Any, name_ids: Any, rank: Any
) -> list[sa.ColumnElement[bool]]:
    named = name_id_column(table, kind).in_(name_ids)
    own = [table.c.run_key == run_key, named, table.c.rank == rank]
    return own if "kind" not in table.c else [*own, table.c.kind == kind.name]
