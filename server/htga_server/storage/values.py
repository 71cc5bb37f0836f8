"""Values on their way between database cells, numpy and JSON.

Three states must survive every border: a finite number, a non-finite one, and "not measured".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from htga_client.wire.json_codec import json_number

NAN = "NaN"


def numbers(values: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cells as float64 values and a mask that says which were measured; unmeasured ones are NaN."""
    missing = values.count(None)
    if missing == len(values):  # as in most columns of most runs
        return np.full(missing, np.nan), np.zeros(missing, np.bool_)
    measured = np.full(len(values), missing == 0)
    if missing:
        measured = np.array([value is not None for value in values], np.bool_)
    return np.array(values, np.float64), measured


def optional(values: NDArray[np.float64], measured: NDArray[np.bool_]) -> list[float | None]:
    """Values as a list with None where nothing was measured; the inverse of `numbers`."""
    floats: list[float | None] = values.tolist()
    for row in np.flatnonzero(~measured).tolist():
        floats[row] = None
    return floats


def to_json(value: float) -> float | str:
    """A float that JSON can hold: itself, or "NaN", "Infinity", "-Infinity"."""
    return json_number(value)
