"""Every value of a query's result can be shown, also one that Python's types cannot hold."""

from __future__ import annotations

import datetime as dt
import io
import math
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from htga.cli.query import _csv
from htga_client.wire.column_values import column_values
from htga_dashboard.pages.query.result_table import file, rows

SQL = {
    "'10000-01-01'::DATE": "10000-01-01",
    "['10000-01-01'::DATE, NULL]": ["10000-01-01", None],
    "{'a': '10000-01-01'::DATE, 'b': 1}": {"a": "10000-01-01", "b": 1},
    "'2020-02-03'::DATE": dt.date(2020, 2, 3),
    "[1.5, 'Infinity'::DOUBLE]": [1.5, math.inf],
    "1.5::DECIMAL(4, 1)": None,
    "'infinity'::TIMESTAMP": None,
    "'-infinity'::TIMESTAMPTZ": None,
    "'2020-01-01 00:00:00.123456789'::TIMESTAMP_NS": None,
    "'24:00:00'::TIME": None,
    "MAP {'x': '10000-01-01'::DATE}": None,
    "INTERVAL 1 MONTH": None,
    "'\\xff'::BLOB": b"\xff",
    "NULL": None,
}


@pytest.mark.parametrize("sql", SQL)
def test_a_value_is_shown_by_command_line_and_page_and_in_a_file(sql: str) -> None:
    with duckdb.connect() as connection:
        table: pa.Table = connection.sql(f"SELECT {sql} AS value, 1 AS n").to_arrow_table()
    found: list[Any] = column_values(table["value"])
    assert len(found) == 1
    assert SQL[sql] is None or found == [SQL[sql]]
    assert len(rows(table)) == 1
    assert pa.csv.read_csv(io.BytesIO(_csv(table))).num_rows == 1
    assert len(file(table, "csv").splitlines()) == 2
