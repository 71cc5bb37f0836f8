"""Columns of a query's result as JSON."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from fastapi.encoders import jsonable_encoder

from htga_client.wire.json_codec import json_number


def json_values(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column.

    A number that JSON lacks is a text such as "NaN", bytes are hexadecimal, a map is a list of
    pairs, and what has no JSON type is a text as Arrow writes it, such as a date after 9999.
    """
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError):  # Python's dates and times have limits
        values = [_to_python(scalar) for scalar in column]
    return [_to_json(value) for value in values]


def _to_python(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        if isinstance(scalar, pa.StructScalar):
            return {key: _to_python(one) for key, one in scalar.items()}
        if isinstance(scalar, pa.ListScalar):
            return [_to_python(one) for one in scalar]
        return pc.cast(scalar, pa.string()).as_py()


def _to_json(value: Any) -> Any:
    match value:
        case float():
            return json_number(value)
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_to_json(one) for one in value]
        case dict():
            return {key: _to_json(one) for key, one in value.items()}
        case None | str() | bool() | int():
            return value
    return jsonable_encoder(value)
