"""Values of a column of a query's result."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def column_values(column: pa.ChunkedArray) -> list[Any]:
    """The values as Python has them; what it lacks is text, such as a date after 9999."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        values = [_value(scalar) for scalar in column]
    return values


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        if isinstance(scalar, pa.StructScalar):
            return {key: _value(one) for key, one in scalar.items()}
        if isinstance(scalar, pa.MapScalar):
            return [tuple(_value(one).values()) for one in scalar.values]
        if isinstance(scalar, pa.ListScalar):
            return [_value(one) for one in scalar]
        return pc.cast(scalar, pa.string()).as_py()
