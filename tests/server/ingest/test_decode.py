from __future__ import annotations

import pyarrow as pa
import pytest

from htga_client.wire import GAPS, ROWS, WRITER, histogram
from htga_server.ingest import decode
from htga_server.ingest.decode import Batch
from htga_server.ingest.prepare import prepare
from htga_server.problems import BadRequest, TooLarge
from tests.support.rows import ipc, stream

MAX_ROWS = 50_000


def from_arrow(body: bytes) -> Batch:
    return decode.from_arrow(body, MAX_ROWS)


def blob(step: int) -> bytes:
    return histogram.encode([1, step], bits=3, first=900)


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


def test_columns_that_were_left_out_measured_nothing() -> None:
    body = ipc(pa.table({"step": pa.array([1, 2], pa.int64()), "gamma": [0.5, None]}))
    rows = prepare([from_arrow(body).table])
    assert rows.requests[0].sent == 2
    assert (rows.steps.step.tolist(), list(rows.steps.columns)) == ([1], ["gamma"])
    assert rows.metrics.size == 0


def test_rows_are_sorted_and_those_of_one_key_made_one() -> None:
    made = [
        {"step": 5, "layer": "b", "alpha_hat": 1.0},
        {"step": 4, "layer": "a", "alpha_hat": 2.0, "histogram": blob(4)},
        {"step": 5, "layer": "b", "gamma": 3.0, "histogram": blob(5)},
        {"step": 3, "layer": "a", "alpha_hat": 4.0, "histogram": blob(3)},
    ]
    rows = prepare([from_arrow(stream(made)).table]).steps
    names = [rows.names[i] for i in rows.name]
    assert (names, rows.step.tolist()) == (["b", "a", "a"], [5, 3, 4])
    assert rows.columns["alpha_hat"].values.tolist() == [1.0, 4.0, 2.0]
    assert rows.columns["gamma"].measured is not None
    assert rows.columns["gamma"].measured.tolist() == [True, False, False]
    assert [rows.blobs.to_list()[i] for i in rows.histogram] == [blob(5), blob(3), blob(4)]


@pytest.mark.parametrize(
    "type_",
    [
        pa.string_view(),
        pa.binary_view(),
        pa.large_string(),
        pa.list_view(pa.string()),
        pa.dense_union([pa.field("a", pa.int64())]),
        pa.run_end_encoded(pa.int32(), pa.string()),
    ],
)
def test_types_with_parsers_of_their_own_are_refused_by_the_schema_alone(
    type_: pa.DataType,
) -> None:
    schema = pa.schema([("step", pa.int64()), ("layer", type_)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema):
        pass
    with pytest.raises(BadRequest, match="column layer is"):
        from_arrow(sink.getvalue().to_pybytes())


@pytest.mark.parametrize(
    "gaps", [b"7", b"[[1]]", b"[[1, 2, 3]]", b'[["a", 2]]', b"[[-1, 2]]", b"["]
)
def test_gaps_that_cannot_be_are_refused(gaps: bytes) -> None:
    table = pa.Table.from_pylist([ROW], ROWS.with_metadata({WRITER: b"w", GAPS: gaps}))
    with pytest.raises(BadRequest):
        from_arrow(ipc(table))


def test_more_rows_than_allowed_are_refused() -> None:
    body = ipc(pa.table({"step": pa.array(range(50_001), pa.int64())}))
    with pytest.raises(TooLarge, match="at most 50000"):
        from_arrow(body)
