"""Read one scalar of all layers over steps, with few queries for any number of layers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from htga_client.wire import SCALARS, LayerMap
from htga_server.problems import BadRequest
from htga_server.reads.series import Range
from htga_server.runs.lookup import key_of, name_ids
from htga_server.storage.values import to_optional_list
from htga_server.timeseries import rollup
from htga_server.timeseries.rollup import FACTOR, WINDOW_STEPS, Rollups
from htga_server.timeseries.series import finest_cells, read_cells, step_ranges
from htga_server.timeseries.series_key import LAYERS, SeriesKeys
from htga_server.timeseries.snapshot import Snapshot

MAX_CELLS = 150_000
"""Maximum cells read for one answer; with very many layers there are fewer buckets."""
LAYERS_PER_QUERY = 10_000
"""Layers in one query, because a database limits its parameters."""


def read(snapshot: Snapshot, run_id: str, key: str, within: Range, buckets: int) -> LayerMap:
    """Read a scalar of every layer on a rank; the cost grows with layers and buckets, not steps.

    Raises:
        NotFound: No such run exists.
        BadRequest: No such scalar exists.
    """
    connection = snapshot.connection
    run_key = key_of(connection, run_id)
    if key not in SCALARS:
        raise BadRequest(f"key must be a scalar such as alpha_hat, got {key[:80]!r}")
    ranges = step_ranges(connection, LAYERS, [(run_key, within.rank)])
    known = {number: own for (_, number, _), own in ranges.items()}
    names = {
        number: name
        for name, number in name_ids(connection, run_key, "layer").items()
        if name and number in known
    }
    ids = np.array(sorted(names), np.int64)
    own = np.array([known[number] for number in ids.tolist()], np.int64).reshape(-1, 2)
    first, last = int(own[:, 0].min(initial=0)), int(own[:, 1].max(initial=-1))
    start, stop = within.within(first, last)
    width, level = rollup.bucket_width(start, max(start, stop), buckets)
    while level < rollup.MAX_LEVEL and len(ids) * (stop - start) > MAX_CELLS * FACTOR**level:
        level += 1
        width = FACTOR**level
    parts = []
    # The window of a layer's last step is open and has no cells; most layers share it.
    closed = own[:, 1] // WINDOW_STEPS * WINDOW_STEPS
    for end in np.unique(closed).tolist():
        group = ids[closed == end].tolist()
        for begin in range(0, len(group), LAYERS_PER_QUERY):
            some = SeriesKeys(
                LAYERS, run_key, tuple(group[begin : begin + LAYERS_PER_QUERY]), within.rank
            )
            for at, low, high in rollup.split_range(start, min(stop, end), level):
                parts.append(
                    finest_cells(snapshot, some, low, high, [key])
                    if at == 0
                    else read_cells(connection, some, at, (low, high), [key])
                )
            parts.append(finest_cells(snapshot, some, max(start, end), stop, [key]))
    layer = np.searchsorted(ids, np.concatenate([ids[:0], *(owner for owner, _ in parts)]))
    found = rollup.concatenate((key,), [part for _, part in parts])
    step, values = _on_grid(layer, found, width, len(ids))
    return LayerMap(
        run_id=run_id,
        key=key,
        rank=within.rank,
        step=step,
        layers=[names[number] for number in ids.tolist()],
        damaged=tuple(snapshot.damaged),
        **values,
    )


def _on_grid(
    layer: NDArray[np.intp], found: Rollups, width: int, layers: int
) -> tuple[list[int], dict[str, list[list[float | None]]]]:
    """Return the last step of each bucket, and the parts of `wire.LayerMap`, layers by buckets.

    Args:
        layer: The index of the layer of each cell.
    """
    bucket, place = np.unique(found.at // width, return_inverse=True)
    step = np.full(bucket.size, -1)
    np.maximum.at(step, place, found.step)
    # All layers merge at once, as buckets of one long row.
    at = layer * bucket.size + place
    order = np.lexsort((found.at, at))
    merged = rollup.merge(
        Rollups(
            found.keys,
            at[order],
            found.rows[order],
            found.step[order],
            found.time[order],
            found.stats[order],
        ),
        1,
    )
    stats = merged.stats[:, 0]
    measured = np.zeros((layers, bucket.size), np.bool_)
    measured.flat[merged.at] = stats["count"] > 0
    with np.errstate(invalid="ignore"):
        mean = stats["sum"] / np.maximum(stats["count"], 1)

    def on_full_grid(values: NDArray[np.float64]) -> list[list[float | None]]:
        full = np.full(measured.shape, np.nan)
        full.flat[merged.at] = values
        return [to_optional_list(row, mask) for row, mask in zip(full, measured, strict=True)]

    parts = {"mean": mean, "min": stats["min"], "max": stats["max"]}
    return step.tolist(), {name: on_full_grid(values) for name, values in parts.items()}
