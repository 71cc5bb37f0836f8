from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_client import wire
from htga_client.wire import json_codec as codec

FLOATS = st.one_of(st.none(), st.floats(allow_nan=False))


@given(values=st.lists(FLOATS), logged=st.integers(0, 2**60))
def test_resources_survive_the_way_through_json(values: list[float | None], logged: int) -> None:
    bucket = wire.Buckets(mean=values, min=values, max=values, last=values)
    series = wire.Series(
        run_id="r",
        layer="",
        step=[1] * len(values),
        time=values,
        keys={"a": bucket},
        buckets=len(values),
        total=logged,
        cursor=None,
    )
    assert codec.loads(wire.Series, codec.dumps(series)) == series


def test_non_finite_numbers_are_the_strings_that_the_schema_prescribes() -> None:
    sent = wire.NewRun(id="i", project="p", name="n", config={"a": math.inf, "b": [-math.inf]})
    text = json.loads(codec.dumps(sent))
    assert text["config"] == {"a": "Infinity", "b": ["-Infinity"]}
    value = codec.loads(wire.Buckets, b'{"mean":["NaN"],"min":["-Infinity"],"max":[1],"last":[]}')
    assert math.isnan(value.mean[0] or 0)
    assert (value.min, value.max) == ([-math.inf], [1.0])


def test_members_that_are_not_known_are_passed_over() -> None:
    receipt = codec.loads(wire.Receipt, b'{"accepted":1,"duplicates":2,"from_the_future":3}')
    assert receipt == wire.Receipt(accepted=1, duplicates=2)


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", b"[]", b"3", b"null", b"{}", b'{"accepted":"1","duplicates":0}',
     b'{"accepted":1,"duplicates":0,"rejected":[{"row":0}]}', b'{"accepted":null,"duplicates":0}'],
)  # fmt: skip
def test_what_is_no_receipt_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.loads(wire.Receipt, data)


@given(st.binary(max_size=40))
def test_bytes_never_raise_anything_but_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.loads(wire.Run, data)


def test_plain_keeps_what_json_has_and_spells_the_rest() -> None:
    @dataclass
    class Config:
        lr: Any
        steps: Any

    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    unknown = object()
    value = {
        1: Config(lr=np.float32(0.5), steps=np.int64(3)),
        "odd": unknown,
        "big": 2**80,
        "yes": True,
        "tags": {"a"},
        "cycle": cycle,
    }
    made = codec.to_jsonable(value)
    assert made["1"] == {"lr": 0.5, "steps": 3}
    assert (made["odd"], made["big"], made["yes"], made["tags"]) == (
        repr(unknown),
        str(2**80),
        True,
        ["a"],
    )
    json.dumps(made, allow_nan=False)
