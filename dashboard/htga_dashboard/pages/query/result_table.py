"""The result of a query as rows of AG Grid and as a file."""

from __future__ import annotations

import io
import math
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from htga_client.wire.column_values import column_values

Format = Literal["csv", "parquet", "arrow"]

MEDIA = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.file",
}


def columns(table: pa.Table) -> list[dict[str, Any]]:
    """Column definitions of AG Grid.

    Fields are numbered, because AG Grid takes a dot within a name for a path.
    """
    return [
        {"field": f"c{place}", "headerName": field.name}
        | ({"type": "rightAligned"} if _is_number(field.type) else {})
        for place, field in enumerate(table.schema)
    ]


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows, by numbered field, with values that JSON can hold."""
    by_column = [[_cell(value) for value in column_values(column)] for column in table.columns]
    return [
        {f"c{place}": value for place, value in enumerate(row)}
        for row in zip(*by_column, strict=True)
    ]


def file(table: pa.Table, kind: Format) -> bytes:
    """The table as a file; CSV gets lists and bytes as text."""
    sink = io.BytesIO()
    if kind == "parquet":
        pyarrow.parquet.write_table(table, sink, compression="zstd")
    elif kind == "arrow":
        with pa.ipc.new_file(sink, table.schema) as out:
            out.write_table(table)
    else:
        pyarrow.csv.write_csv(_flat(table), sink)
    return sink.getvalue()


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _flat(table: pa.Table) -> pa.Table:
    made = []
    for column in table.columns:
        types, kind = pa.types, column.type
        plain = types.is_string(kind) or (types.is_primitive(kind) and not types.is_interval(kind))
        made.append(column if plain else pa.array([_text(v) for v in column_values(column)]))
    return pa.table(made, names=table.column_names)


def _text(value: Any) -> str | None:
    return None if value is None else str(_cell(value))


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return ", ".join(str(_cell(one)) for one in value)
    return str(value)
