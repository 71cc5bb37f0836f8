"""Bulk statements: `executemany` on SQLite, binary COPY and arrays on Postgres."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_server.storage.values import NAN

COPY_TYPES = {"INTEGER": ">i4", "BIGINT": ">i8", "FLOAT": ">f8"}
"""The types of our columns as numpy names their binary COPY layout."""
POSTGRES_TYPES = {int: "bigint", float: "double precision", str: "text", bytes: "bytea"}
"""The Postgres types of our columns, by their Python types."""
RANGES_PER_STATEMENT = 1000
"""Ranges in one statement: SQLite takes at most 32,766 parameters."""
HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"


@dataclass(frozen=True, slots=True)
class Column:
    """Numbers of one column; entries where `measured` is False are null."""

    values: NDArray[Any]
    measured: NDArray[np.bool_] | None = None

    def __getitem__(self, which: slice | NDArray[Any]) -> Column:
        """Select entries."""
        return Column(self.values[which], None if self.measured is None else self.measured[which])


def insert(
    connection: sa.Connection, table: sa.Table, columns: Mapping[str, Column], *, fresh: bool
) -> None:
    """Insert rows of numbers; columns that are left out are null.

    Args:
        fresh: Whether no key is stored yet. Otherwise non-null values replace stored ones, and no
            key may come twice.
    """
    names = ", ".join(columns)
    conflict = "" if fresh else _on_conflict(table, columns, "coalesce(excluded.{0}, {1}.{0})")
    if connection.dialect.name == "sqlite":
        placeholders = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table.name} ({names}) VALUES ({placeholders}) {conflict}"  # noqa: S608
        cells = zip(*(_parameters(column) for column in columns.values()), strict=True)
        # The values are plain already: SQLAlchemy would double the cost by looking at each.
        connection.exec_driver_sql(statement, list(cells))
    elif fresh:
        _copy(connection, table.name, table, columns)
    else:
        staged = f"staged_{table.name}"
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} (LIKE {table.name}) ON COMMIT DROP"
        )
        connection.exec_driver_sql(f"TRUNCATE {staged}")
        _copy(connection, staged, table, columns)
        merge = f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {staged} {conflict}"  # noqa: S608
        connection.exec_driver_sql(merge)


def upsert(connection: sa.Connection, table: sa.Table, rows: list[tuple[Any, ...]]) -> None:
    """Insert whole rows, in the table's order of columns, and replace those with the same key.

    No key may come twice.
    """
    if not rows:
        return
    names = [column.name for column in table.columns]
    conflict = _on_conflict(table, names, "excluded.{0}")
    begin = f"INSERT INTO {table.name} ({', '.join(names)})"
    if connection.dialect.name == "sqlite":
        placeholders = ", ".join("?" * len(names))
        connection.exec_driver_sql(f"{begin} VALUES ({placeholders}) {conflict}", rows)
        return
    # One statement with a binary array for each column beats one statement for each row.
    arrays = ", ".join(
        f"%b::{POSTGRES_TYPES[column.type.python_type]}[]" for column in table.columns
    )
    columns = tuple(map(list, zip(*rows, strict=True)))
    statement = f"{begin} SELECT * FROM unnest({arrays}) {conflict}"  # noqa: S608
    connection.exec_driver_sql(statement, columns)


def select_ranges(
    connection: sa.Connection,
    table: sa.Table,
    key: Sequence[str],
    columns: Sequence[str],
    wanted: Sequence[tuple[int, ...]],
) -> list[Any]:
    """Return the rows (index into `wanted`, *columns) of many ranges, by index and primary key.

    Args:
        key: The columns that the primary key begins with.
        wanted: For each range its key, and [start, stop) of the next column of the primary key.
    """
    name = table.name
    key_names = [f"k{number}" for number in range(len(key))]
    names = ", ".join(("at", *key_names, "start", "stop"))
    chosen = ", ".join(f"{name}.{column}" for column in columns)
    same = " AND ".join(
        f"{name}.{own} = {other}" for own, other in zip(key, key_names, strict=True)
    )
    rest = [f"{name}.{one.name}" for one in table.primary_key if one.name not in key]
    within = f"{rest[0]} >= start AND {rest[0]} < stop"
    end = f"ON {same} AND {within} ORDER BY at, {', '.join(rest)}"
    numbered = [(at, *one) for at, one in enumerate(wanted)]
    found: list[Any] = []
    for begin in range(0, len(numbered), RANGES_PER_STATEMENT):
        some = numbered[begin : begin + RANGES_PER_STATEMENT]
        if connection.dialect.name == "sqlite":
            mark = f"({', '.join('?' * len(some[0]))})"
            source = f"WITH wanted({names}) AS (VALUES {', '.join([mark] * len(some))})"
            # SQLite executes a CROSS JOIN in the order written, so it finds each range by its key.
            statement = f"{source} SELECT at, {chosen} FROM wanted CROSS JOIN {name} {end}"  # noqa: S608
            given: Any = tuple(value for one in some for value in one)
        else:
            arrays = ", ".join(["%b::bigint[]"] * len(some[0]))
            source = f"unnest({arrays}) AS wanted({names})"
            statement = f"SELECT at, {chosen} FROM {source} JOIN {name} {end}"  # noqa: S608
            given = tuple(map(list, zip(*some, strict=True)))
        found += connection.exec_driver_sql(statement, given).all()
    return found


def _on_conflict(table: sa.Table, names: Iterable[str], value: str) -> str:
    key = [column.name for column in table.primary_key.columns]
    changed = [f"{n} = {value.format(n, table.name)}" for n in names if n not in key]
    action = f"UPDATE SET {', '.join(changed)}" if changed else "NOTHING"
    return f"ON CONFLICT ({', '.join(key)}) DO {action}"


def _parameters(column: Column) -> list[Any]:
    """Return the values as parameters for SQLite: None for null, 'NaN' as text."""
    cells: list[Any] = column.values.tolist()
    if column.values.dtype.kind == "f":
        for row in np.flatnonzero(np.isnan(column.values)).tolist():
            cells[row] = NAN
    if column.measured is not None:
        for row in np.flatnonzero(~column.measured).tolist():
            cells[row] = None
    return cells


def _copy(
    connection: sa.Connection, into: str, table: sa.Table, columns: Mapping[str, Column]
) -> None:
    data = encode_copy(
        [(column, COPY_TYPES[str(table.c[n].type)]) for n, column in columns.items()]
    )
    driver = connection.connection.cursor()
    statement = f"COPY {into} ({', '.join(columns)}) FROM STDIN WITH (FORMAT BINARY)"
    try:
        with driver.copy(statement) as copy:
            copy.write(data)
    except psycopg.Error as error:
        raise sa.exc.DBAPIError.instance(statement, None, error, psycopg.Error) from error
    finally:
        driver.close()


def encode_copy(columns: Iterable[tuple[Column, str]]) -> bytes:
    """Encode columns, each with its big-endian type, as the body of a binary COPY.

    A row is the number of its fields in 2 bytes, then for each field its length in 4 bytes (-1 for
    null) and its value. All rows are laid out with every value; then the nulls are cut out.
    """
    columns = list(columns)
    rows = columns[0][0].values.size
    width = 2 + sum(4 + np.dtype(kind).itemsize for _, kind in columns)
    out = np.zeros((rows, width), np.uint8)
    keep = np.ones((rows, width), np.bool_)
    out[:, 1] = len(columns)
    at = 2
    for column, kind in columns:
        size = np.dtype(kind).itemsize
        value = out[:, at + 4 : at + 4 + size]
        value[:] = column.values.astype(kind).view(np.uint8).reshape(rows, size)
        out[:, at + 3] = size
        if column.measured is not None:
            missing = ~column.measured
            out[missing, at : at + 4] = 0xFF
            keep[missing, at + 4 : at + 4 + size] = False
        at += 4 + size
    body = out.tobytes() if keep.all() else out[keep].tobytes()
    return HEADER + body + TRAILER
