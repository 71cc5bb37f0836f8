"""Hashes of the values of a table, column by column, whatever the pieces it comes in."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class ColumnHashes:
    """One hash for each column: equal only for the same values bit for bit, and the same nulls.

    Args:
        schema: The columns; their types are numbers of fixed width, text or bytes.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._nulls, self._lengths, self._values = (
            [hashlib.sha256() for _ in schema] for _ in "123"
        )

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the next rows, whose columns are those of the schema."""
        for at, field in enumerate(self._schema):
            column = batch.column(field.name)
            self._nulls[at].update(pc.is_null(column).cast(pa.uint8()).to_numpy())
            if pa.types.is_string(field.type) or pa.types.is_binary(field.type):
                values = column.cast(pa.binary()).fill_null(b"")
                self._lengths[at].update(pc.binary_length(values).to_numpy())
                self._values[at].update(b"".join(values.to_pylist()))
            else:
                self._values[at].update(np.ascontiguousarray(column.fill_null(0).to_numpy()).data)

    def digests(self) -> dict[str, str]:
        """The hashes so far, in hexadecimal, by column."""
        parts = zip(self._nulls, self._lengths, self._values, strict=True)
        whole = [hashlib.sha256(b"".join(one.digest() for one in part)) for part in parts]
        return {name: one.hexdigest() for name, one in zip(self._schema.names, whole, strict=True)}
