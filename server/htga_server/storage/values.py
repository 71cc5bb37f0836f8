"""Conversions of values between database cells, numpy and JSON.

Three states must survive every conversion: a finite number, a non-finite one, and "not measured".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from htga_client.wire.json_codec import json_number

NAN = "NaN"


def to_array(values: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return cells as float64 values, NaN where not measured, and the mask of measured ones."""
    missing = values.count(None)
    if missing == len(values):  # as in most columns of most runs
        return np.full(missing, np.nan), np.zeros(missing, np.bool_)
    measured = np.full(len(values), missing == 0)
    if missing:
        measured = np.array([value is not None for value in values], np.bool_)
    return np.array(values, np.float64), measured


def to_optional_list(
    values: NDArray[np.float64], measured: NDArray[np.bool_]
) -> list[float | None]:
    """Return values as a list with None where nothing was measured; the inverse of `to_array`."""
    floats: list[float | None] = values.tolist()
    for row in np.flatnonzero(~measured).tolist():
        floats[row] = None
    return floats


def to_json(value: float) -> float | str:
    """Return a float that JSON can hold: itself, or "NaN", "Infinity", "-Infinity"."""
    return json_number(value)
