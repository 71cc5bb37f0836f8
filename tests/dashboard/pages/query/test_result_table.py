from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from htga_dashboard.pages.query import result_table

TABLE = pa.table(
    {
        "a.b": pa.array([1.5, math.nan, None]),
        "n": pa.array([1, 2, None], pa.int64()),
        "name": ["<b>x</b>", 'a "quoted", one', None],
        "tags": pa.array([["a", "b"], [], None]),
        "histogram": pa.array([b"\x01\xff", b"", None]),
        "at": pa.array([datetime(2026, 1, 2, tzinfo=UTC), None, None]),
        "done": [True, False, None],
    }
)


def test_every_value_of_an_answer_can_be_written_as_json() -> None:
    rows = json.loads(json.dumps(result_table.rows(TABLE), allow_nan=False))
    assert rows[0] == {
        "c0": 1.5,
        "c1": 1,
        "c2": "<b>x</b>",
        "c3": "a, b",
        "c4": "01ff",
        "c5": "2026-01-02 00:00:00+00:00",
        "c6": True,
    }
    assert rows[1]["c0"] == "nan"
    assert set(rows[2].values()) == {None}


def test_columns_keep_their_names_and_numbers_stand_right() -> None:
    columns = result_table.columns(TABLE)
    assert [column["headerName"] for column in columns] == TABLE.column_names
    assert all("." not in column["field"] for column in columns)
    assert [c["headerName"] for c in columns if c.get("type") == "rightAligned"] == ["a.b", "n"]


def test_a_file_of_parquet_or_arrow_holds_the_very_table() -> None:
    parquet = pyarrow.parquet.read_table(io.BytesIO(result_table.file(TABLE, "parquet")))
    arrow = pa.ipc.open_file(io.BytesIO(result_table.file(TABLE, "arrow"))).read_all()
    for read in (parquet, arrow):
        assert read.schema.names == TABLE.schema.names
        # NaN is not equal to itself.
        assert str(read.to_pydict()) == str(TABLE.to_pydict())


def test_a_file_of_csv_has_every_row_and_writes_lists_and_bytes_as_text() -> None:
    read = pyarrow.csv.read_csv(io.BytesIO(content := result_table.file(TABLE, "csv")))
    assert read.column_names == TABLE.column_names
    assert read["name"].to_pylist()[1] == 'a "quoted", one'
    assert read["tags"].to_pylist()[0] == "a, b"
    assert read["histogram"].to_pylist()[0] == "01ff"
    # A reader may take either for missing; the file tells them apart.
    assert [line.split(b",")[0] for line in content.splitlines()[1:]] == [b"1.5", b"nan", b""]


@pytest.mark.parametrize("kind", result_table.MEDIA)
def test_an_answer_without_rows_is_a_file_all_the_same(kind: result_table.Format) -> None:
    assert result_table.file(TABLE.slice(0, 0), kind)
    assert result_table.rows(TABLE.slice(0, 0)) == []
