"""From the columns of Arrow to those of numpy."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from htga_server.storage.bulk import Column

Ints = NDArray[np.int64]


def numbers(column: pa.ChunkedArray | pa.Array) -> Column:
    """Numbers, and which of them were measured."""
    array = whole(column)
    if array.null_count == 0:
        return Column(array.to_numpy(zero_copy_only=False))
    filler = math.nan if pa.types.is_floating(array.type) else 0
    return Column(array.fill_null(filler).to_numpy(), np.asarray(array.is_valid()))


def codes(column: pa.ChunkedArray | pa.Array) -> tuple[tuple[str, ...], Ints]:
    """Different strings of a column without nulls, and the index of each row's."""
    encoded = whole(column).dictionary_encode()
    return tuple(encoded.dictionary.to_pylist()), ints(encoded.indices)


def ints(column: pa.ChunkedArray | pa.Array) -> Ints:
    """Integers of a column without nulls."""
    return np.asarray(whole(column).to_numpy(zero_copy_only=False)).astype(np.int64)


def floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Floats of a column without nulls."""
    return np.asarray(whole(column).to_numpy(zero_copy_only=False))


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column in one piece."""
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column
