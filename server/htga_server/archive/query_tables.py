"""The tables of one query: live rows from the database, archived ones from their files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from htga_server.archive.archived_files import ArchivedFile
from htga_server.archive.arrow_export import chosen, metric_batches, step_batches
from htga_server.archive.query_clock import QueryClock
from htga_server.archive.query_plan import Plan, Scan
from htga_server.archive.relations import ROWS, TABLES, create_views, literal, quoted, sql_type
from htga_server.storage.tables import events, gaps, names, runs

NOT_LOADED = "htga: this was not loaded "
"""An error with these words says that a statement reads what its plan does not name."""
COUNTED = {"runs": "id", "gaps": "first_seq"}
"""The column by which rows of a table are counted, and which is always loaded; else the step."""

Visible = Callable[[Scan], sa.ColumnElement[bool]]


class QueryTables:
    """Loads what a query reads.

    Args:
        connection: To the database.
        reads: What the query reads.
        files: The files of archived runs that it reads, by table.
        visible: The condition on `tables.runs` for a scan.
        clock: Stops the loading.
    """

    def __init__(
        self,
        connection: sa.Connection,
        reads: Plan,
        files: Mapping[str, Sequence[ArchivedFile]],
        *,
        visible: Visible,
        clock: QueryClock,
    ) -> None:
        self._connection = connection
        self._reads = reads
        self._files = files
        self._visible = visible
        self._clock = clock

    def define(self, duck: duckdb.DuckDBPyConnection) -> None:
        """Create the views of all tables; reading what was not loaded is an error."""
        for name, schema in TABLES.items():
            scan = self._reads.get(name)
            if scan is None:
                duck.execute(_unread(name, schema))
                continue
            counted = COUNTED.get(name, "step")
            loaded = scan.columns | {counted}
            duck.register(f"live_{name}", self._live(name, scan, loaded))
            sources = [f"FROM live_{name}", *_archived(name, self._files.get(name, ()))]
            columns = ", ".join(
                quoted(field.name) if field.name in loaded else _missing(field, counted)
                for field in schema
            )
            source = " UNION ALL BY NAME ".join(sources)
            duck.execute(f"CREATE VIEW {name} AS SELECT {columns} FROM ({source})")  # noqa: S608
        for view in create_views():
            duck.execute(view)

    def _live(self, name: str, scan: Scan, columns: frozenset[str]) -> pa.Table:
        condition = self._visible(scan)
        which = [condition]
        if name in ROWS:
            which.append(runs.c.archived.is_(False))
        if scan.whole:
            which.append(names.c.name == "")
        schema = chosen(TABLES[name], columns) if name in ROWS else TABLES[name]
        return pa.Table.from_batches(
            self._stopping(_READERS[name](self._connection, which, columns)), schema
        )

    def _stopping(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self._clock.check()
            yield batch


def _unread(name: str, schema: pa.Schema) -> str:
    columns = ", ".join(_missing(field, "i") for field in schema)
    guard = f"error({literal(NOT_LOADED + name)} || i) IS NULL"
    return f"CREATE VIEW {name} AS SELECT {columns} FROM range(1) r(i) WHERE {guard}"  # noqa: S608


def _missing(field: pa.Field, counted: str) -> str:
    # It depends on a column, or the optimizer would compute it, and fail, before any row is read.
    error = f"error({literal(NOT_LOADED + field.name)} || {counted})"
    return f"CAST({error} AS {sql_type(field.type)}) AS {quoted(field.name)}"


def _archived(name: str, files: Sequence[ArchivedFile]) -> Iterator[str]:
    """Yield selections from the files of runs with one attempt, and from those with several.

    Whether an attempt is the latest at its step is not in the files.
    """
    of_one_step = f"run_id, {'layer' if name == 'all_steps' else 'key'}, rank, step"
    for several in (False, True):
        paths = ", ".join(literal(str(f.path)) for f in files if (f.attempts > 1) is several)
        latest = f"attempt = max(attempt) OVER (PARTITION BY {of_one_step})" if several else "true"
        if paths:
            source = f"read_parquet([{paths}], union_by_name = true)"
            yield f"SELECT *, {latest} AS latest FROM {source}"  # noqa: S608


def _run_batches(
    connection: sa.Connection, which: Sequence[sa.ColumnElement[bool]], _: object
) -> Iterator[pa.RecordBatch]:
    found = connection.execute(sa.select(runs).where(*which)).mappings()
    records = [
        row
        | {"group": row["run_group"]}
        | {name: json.dumps(row[name]) for name in ("config", "environment", "summary")}
        for row in map(dict, found)
    ]
    yield from pa.Table.from_pylist(records, TABLES["runs"]).to_batches()


def _of_runs(table: sa.Table, name: str) -> Callable[..., Iterator[pa.RecordBatch]]:
    schema = TABLES[name]
    label: dict[str, Any] = {"run_id": runs.c.id, "run": runs.c.name, "project": runs.c.project}
    columns = label | dict(table.c.items())
    query = sa.select(*(columns[name].label(name) for name in schema.names)).join_from(
        table, runs, runs.c.run_key == table.c.run_key
    )

    def batches(
        connection: sa.Connection, which: Sequence[sa.ColumnElement[bool]], _: object
    ) -> Iterator[pa.RecordBatch]:
        records = [dict(row) for row in connection.execute(query.where(*which)).mappings()]
        yield from pa.Table.from_pylist(records, schema).to_batches()

    return batches


_READERS: dict[str, Callable[..., Iterator[pa.RecordBatch]]] = {
    "runs": _run_batches,
    "all_steps": lambda connection, which, columns: step_batches(
        connection, *which, columns=columns
    ),
    "all_metrics": lambda connection, which, columns: metric_batches(
        connection, *which, columns=columns
    ),
    "events": _of_runs(events, "events"),
    "gaps": _of_runs(gaps, "gaps"),
}
