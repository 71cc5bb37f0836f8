"""Find out what a statement reads before anything is loaded.

The optimizer plans the statement over empty tables, and its plan names each scan with the columns
and the conditions that reached it. What no scan names need not be loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from htga_server.archive.relations import ROWS, TABLES, create_views, quoted, sql_type
from htga_server.problems import BadRequest

_RUN_ID = re.compile(r"\(run_id = '([0-9a-f-]{36})'\)")
_WORD = re.compile(r"\w+")
_PARTS = ("live_", "archived_")


@dataclass(frozen=True, slots=True)
class Scan:
    """What a statement reads of one table.

    Attributes:
        columns: Names of its columns.
        run_ids: The only runs whose rows are read, or None if these may be all.
        whole: Whether rows of layers are left out.
    """

    columns: frozenset[str]
    run_ids: frozenset[str] | None = None
    whole: bool = False

    def __or__(self, other: Scan) -> Scan:
        """Return what both scans read."""
        known = self.run_ids is not None and other.run_ids is not None
        return Scan(
            self.columns | other.columns,
            (self.run_ids or frozenset()) | (other.run_ids or frozenset()) if known else None,
            self.whole and other.whole,
        )


Plan = dict[str, Scan]
"""What a statement reads, by table; a table that it does not read is missing."""


def everything() -> Plan:
    """Return the plan of a statement that reads all columns of all tables."""
    return {name: Scan(frozenset(schema.names)) for name, schema in TABLES.items()}


def empty_tables(duck: duckdb.DuckDBPyConnection) -> None:
    """Create the tables and views of a query without a row, of the shape that they will have."""
    for name, schema in TABLES.items():
        columns = ", ".join(f"{quoted(field.name)} {sql_type(field.type)}" for field in schema)
        parts = _PARTS if name in ROWS else _PARTS[:1]
        for part in parts:
            duck.execute(f"CREATE TABLE {part}{name} ({columns})")
        both = " UNION ALL BY NAME ".join(f"FROM {part}{name}" for part in parts)
        duck.execute(f"CREATE VIEW {name} AS FROM ({both})")
    for view in create_views():
        duck.execute(view)
    # These two see that the tables are empty, and would plan to read nothing.
    duck.execute("SET disabled_optimizers = 'statistics_propagation,empty_result_pullup'")


def plan(duck: duckdb.DuckDBPyConnection, sql: str) -> Plan:
    """Return what a statement reads.

    Args:
        duck: A connection with `empty_tables`.
        sql: Any text.

    Raises:
        BadRequest: It is no single SELECT.
        duckdb.Error: It does not parse, or names what is not there.
    """
    statements = duck.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise BadRequest("sql must be one SELECT statement")
    (found,) = duck.execute(f"EXPLAIN (FORMAT json) {statements[0].query}").fetchall()
    scans: Plan = {}
    for name, scan in _scans(json.loads(found[1])):
        scans[name] = scans[name] | scan if name in scans else scan
    return scans


def _scans(nodes: list[dict[str, Any]]) -> Iterator[tuple[str, Scan]]:
    for node in nodes:
        about = node.get("extra_info", {})
        table = str(about.get("Table", "")).rpartition(".")[2]
        name = table.removeprefix(_PARTS[0]).removeprefix(_PARTS[1])
        if name in TABLES:
            conditions = _texts(about.get("Filters"))
            mentioned = {word for text in conditions for word in _WORD.findall(text)}
            columns = (mentioned & set(TABLES[name].names)) | set(_texts(about.get("Projections")))
            ids = [found[1] for text in conditions if (found := _RUN_ID.fullmatch(text))]
            known = frozenset(ids[:1]) if ids else None
            yield name, Scan(frozenset(columns - {""}), known, "(layer = '')" in conditions)
        yield from _scans(node.get("children", []))


def _texts(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []
