"""The metrics of a row, as the collector takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from htga_client.wire.limits import MAX_LABEL, MAX_ROW_METRICS
from htga_client.wire.row_encoder import Row
from htga_client.wire.text import as_text, clean_text

_REPEATED = ("step", "time", "rank")


def storable_rows(row: Row) -> tuple[Sequence[Row], Mapping[Any, str]]:
    """A row without metrics whose names cannot be kept, in parts if it has too many.

    Returns:
        The row, or several of one step, of which only the first has what is no metric; and by name
        why a metric was left out.
    """
    metrics = row.get("metrics")
    if not isinstance(metrics, Mapping) or not metrics:
        return (row,), {}
    faults = _faults(tuple(metrics))
    if faults:
        metrics = {name: value for name, value in metrics.items() if name not in faults}
        row = {**row, "metrics": metrics}
    if len(metrics) <= MAX_ROW_METRICS:
        return (row,), faults
    names = list(metrics)
    parts = [
        {name: metrics[name] for name in names[start : start + MAX_ROW_METRICS]}
        for start in range(0, len(names), MAX_ROW_METRICS)
    ]
    repeated = {name: row[name] for name in _REPEATED if name in row}
    others = [{**repeated, "metrics": part} for part in parts[1:]]
    return ({**row, "metrics": parts[0]}, *others), faults


@lru_cache(maxsize=64)
def _faults(names: tuple[Any, ...]) -> Mapping[Any, str]:
    """Why some of the names cannot be kept; cached, because most rows have the same names."""
    found = ((name, _fault(name if isinstance(name, str) else as_text(name))) for name in names)
    return {name: fault for name, fault in found if fault}


def _fault(name: str) -> str:
    if not name:
        return "its name is empty"
    if len(name) > MAX_LABEL:
        return f"its name has more than {MAX_LABEL} characters"
    return "" if clean_text(name) == name else "its name holds a NUL or a lone surrogate"
