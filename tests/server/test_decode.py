from __future__ import annotations

import random

import pyarrow as pa
import pytest

from htga_client.wire import ROWS
from htga_server.decode import from_arrow
from htga_server.problems import BadRequest
from tests.support.rows import ipc, stream

ROW = {"step": 1, "time": 2.0, "layer": "conv", "alpha_hat": 1.5, "metrics": [("loss", 0.1)]}


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compression_inside_arrow_is_refused_before_it_is_unpacked(codec: str) -> None:
    table = pa.Table.from_pylist([ROW] * 1000, ROWS)
    body = ipc(table, pa.ipc.IpcWriteOptions(compression=codec))
    with pytest.raises(BadRequest, match="compression"):
        from_arrow(body)
    assert from_arrow(ipc(table)).table.num_rows == 1000


def test_a_dictionary_encoded_column_is_refused() -> None:
    column = pa.array(["a", "b"]).dictionary_encode()
    with pytest.raises(BadRequest, match="dictionary"):
        from_arrow(ipc(pa.table({"step": [1, 2], "layer": column})))


def test_columns_of_another_name_or_type_are_refused_by_name() -> None:
    with pytest.raises(BadRequest, match=r"unknown columns \['surprise'\]"):
        from_arrow(ipc(pa.table({"step": [1], "surprise": [1]})))
    with pytest.raises(BadRequest, match="column step is double, not int64"):
        from_arrow(ipc(pa.table({"step": [1.0]})))


def test_columns_that_were_left_out_are_null() -> None:
    table = from_arrow(ipc(pa.table({"step": pa.array([1, 2], pa.int64())}))).table
    assert table.column_names == ROWS.names
    assert table["alpha_hat"].null_count == 2


def test_more_rows_than_allowed_are_refused() -> None:
    body = ipc(pa.table({"step": pa.array(range(50_001), pa.int64())}))
    with pytest.raises(BadRequest, match="at most 50000") as caught:
        from_arrow(body)
    assert caught.value.status == 413


def test_a_stream_with_flipped_bytes_is_refused_or_read_but_never_crashes() -> None:
    whole = stream([ROW] * 20, writer="w", first_seq=0)
    dice = random.Random(5)
    refused = 0
    for _ in range(3000):
        body = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            body[dice.randrange(len(body))] = dice.randrange(256)
        try:
            from_arrow(bytes(body)).table.to_pylist()
        except BadRequest:
            refused += 1
    assert refused > 1000
