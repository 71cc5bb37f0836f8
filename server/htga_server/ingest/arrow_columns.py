"""Conversions of Arrow columns to numpy."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from htga_server.storage.bulk import Column

Ints = NDArray[np.int64]


def to_column(column: pa.ChunkedArray | pa.Array) -> Column:
    """Return numbers with their mask of measured ones."""
    array = combined(column)
    if array.null_count == 0:
        return Column(array.to_numpy(zero_copy_only=False))
    filler = math.nan if pa.types.is_floating(array.type) else 0
    return Column(array.fill_null(filler).to_numpy(), np.asarray(array.is_valid()))


def dictionary_encode(column: pa.ChunkedArray | pa.Array) -> tuple[tuple[str, ...], Ints]:
    """Return the distinct strings of a column without nulls, and each row's index into them."""
    encoded = combined(column).dictionary_encode()
    return tuple(encoded.dictionary.to_pylist()), ints(encoded.indices)


def ints(column: pa.ChunkedArray | pa.Array) -> Ints:
    """Return the integers of a column without nulls."""
    return np.asarray(combined(column).to_numpy(zero_copy_only=False)).astype(np.int64)


def combined(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column as one array."""
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column
