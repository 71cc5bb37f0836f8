"""Points to append to a graph, as the arguments of `Plotly.extendTraces`."""

from __future__ import annotations

from typing import Any

Extension = tuple[dict[str, list[list[Any]]], list[int]]


def extension(traces: list[dict[str, list[Any]]]) -> Extension:
    """Arguments that append to every trace of a graph.

    Args:
        traces: For each trace, in order, values to append by attribute; all have the same
            attributes.
    """
    names = traces[0].keys()
    return {name: [trace[name] for trace in traces] for name in names}, list(range(len(traces)))
