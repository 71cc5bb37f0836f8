from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_client import wire
from htga_client.wire.row_encoder import ipc_stream, metric_key, record_batch

STORABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
FIELDS = {
    name: st.floats(allow_nan=False) if kind == pa.float64() else st.integers(0, 2**62)
    for name, kind in wire.SCALARS.items()
}
ROW = st.fixed_dictionaries(
    {"step": st.integers(0, 2**62)},
    optional=FIELDS
    | {
        "time": st.floats(0, 2e9),
        "layer": st.text(max_size=9),
        "rank": st.integers(0, 9),
        "histogram": st.binary(max_size=9),
        "metrics": st.dictionaries(
            st.text(STORABLE, max_size=9), st.floats(allow_nan=False), max_size=4
        ),
    },
)


@given(rows=st.lists(ROW, min_size=1, max_size=6), first_seq=st.integers(0, 2**60))
def test_rows_come_back_from_the_stream_as_they_were(
    rows: list[dict[str, Any]], first_seq: int
) -> None:
    body = ipc_stream([record_batch(rows)], writer="w", first_seq=first_seq)
    table = pa.ipc.open_stream(body).read_all()
    table.validate(full=True)
    assert table.schema.equals(wire.ROWS)
    assert table.schema.metadata == {
        wire.WRITER: b"w",
        wire.FIRST_SEQ: str(first_seq).encode(),
    }
    for sent, stored in zip(rows, table.to_pylist(), strict=True):
        metrics = {metric_key(name): value for name, value in sent.get("metrics", {}).items()}
        assert dict(stored.pop("metrics") or ()) == metrics
        expected = {"layer": "", "rank": 0} | sent
        assert stored == {name: expected.get(name) for name in stored}


def test_nan_is_a_value_and_none_is_not_measured() -> None:
    batch = record_batch([{"step": 0, "alpha_hat": math.nan, "xi": None}])
    assert (batch["alpha_hat"].null_count, batch["xi"].null_count) == (0, 1)


@pytest.mark.parametrize("name", wire.SCALARS)
def test_a_metric_named_like_a_measurement_gets_another_key(name: str) -> None:
    assert metric_key(name) == f"metrics/{name}"


def test_other_metrics_keep_their_names() -> None:
    assert metric_key("train/loss") == "train/loss"
