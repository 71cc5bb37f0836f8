"""Columns of a query's result as JSON."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from fastapi.encoders import jsonable_encoder

from htga_client.wire.column_values import column_values
from htga_client.wire.json_codec import json_number


def json_values(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column.

    A number that JSON lacks is a text such as "NaN", bytes are hexadecimal, a map is a list of
    pairs, and what has no JSON type is a text as Arrow writes it, such as a date after 9999.
    """
    return [_to_json(value) for value in column_values(column)]


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
