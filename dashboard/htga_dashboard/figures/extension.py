"""How a graph grows: what `Plotly.extendTraces` takes."""

from __future__ import annotations

from typing import Any

Extension = tuple[dict[str, list[list[Any]]], list[int]]


def extension(traces: list[dict[str, list[Any]]]) -> Extension:
    """Append to every trace of a graph, in the order of its traces, the given values.

    Args:
        traces: For each trace, the values to append by attribute; all name the same attributes.
    """
    names = traces[0].keys()
    return {name: [trace[name] for trace in traces] for name in names}, list(range(len(traces)))
