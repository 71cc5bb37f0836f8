from __future__ import annotations

import pyarrow as pa

from htga_server.archive.column_hashes import ColumnHashes


def test_columns_with_the_same_hash_have_the_same_values_and_nulls_in_any_pieces() -> None:
    schema = pa.schema([("a", pa.float64()), ("b", pa.string()), ("c", pa.int64())])
    columns: list[list[object]] = [
        [1.0, float("nan"), None, -0.0],
        ["x", "", None, "y"],
        [1, None, 0, 3],
    ]
    batch = pa.record_batch(columns, schema=schema)
    whole = ColumnHashes(schema)
    whole.update(batch)
    pieces = ColumnHashes(schema)
    pieces.update(batch.slice(0, 1))
    pieces.update(batch.slice(1))
    assert pieces.digests() == whole.digests()
    for column, row, value in ((0, 1, None), (0, 3, 0.0), (1, 1, None), (1, 0, "z"), (2, 2, None)):
        changed = [list(values) for values in columns]
        changed[column][row] = value
        other = ColumnHashes(schema)
        other.update(pa.record_batch(changed, schema=schema))
        different = [n for n in "abc" if other.digests()[n] != whole.digests()[n]]
        assert different == ["abc"[column]]
