"""One scalar of all layers over steps, from a few queries however many layers there are."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.wire import SCALARS, LayerMap
from htga_server.problems import BadRequest
from htga_server.reads.series import Range
from htga_server.runs.lookup import key_of, name_ids
from htga_server.storage.values import optional
from htga_server.timeseries import rollup as pyramid
from htga_server.timeseries.rollup import FACTOR, WINDOW, Cells
from htga_server.timeseries.series import cells_of_all, narrowest, spans
from htga_server.timeseries.series_key import LAYERS, Tracks

MOST_CELLS = 150_000
"""More are not read for one answer: of very many layers, the buckets are fewer than asked for."""
AT_ONCE = 10_000
"""Layers that one query names; a database takes only so many parameters."""


def read(connection: sa.Connection, run_id: str, key: str, within: Range, buckets: int) -> LayerMap:
    """A scalar of every layer on a rank; what is read grows with layers and buckets, not steps.

    Raises:
        NotFound: There is no such run.
        BadRequest: There is no such scalar.
    """
    run_key = key_of(connection, run_id)
    if key not in SCALARS:
        raise BadRequest(f"key must be a scalar such as alpha_hat, got {key[:80]!r}")
    known = spans(connection, LAYERS, run_key, ranks=[within.rank])
    names = {
        number: name
        for name, number in name_ids(connection, run_key, "layer").items()
        if name and (number, within.rank) in known
    }
    ids = np.array(sorted(names), np.int64)
    own = np.array([known[number, within.rank] for number in ids.tolist()], np.int64).reshape(-1, 2)
    first, last = int(own[:, 0].min(initial=0)), int(own[:, 1].max(initial=-1))
    start, stop = within.within(first, last)
    width, level = pyramid.grid(start, max(start, stop), buckets)
    while level < pyramid.TOP and len(ids) * (stop - start) > MOST_CELLS * FACTOR**level:
        level += 1
        width = FACTOR**level
    parts = []
    # The window of a layer's last step has no cells yet; most layers have the same.
    settled = own[:, 1] // WINDOW * WINDOW
    for end in np.unique(settled).tolist():
        group = ids[settled == end].tolist()
        for begin in range(0, len(group), AT_ONCE):
            some = Tracks(LAYERS, run_key, tuple(group[begin : begin + AT_ONCE]), within.rank)
            for at, low, high in pyramid.cover(start, min(stop, end), level):
                parts.append(
                    narrowest(connection, some, low, high, [key])
                    if at == 0
                    else cells_of_all(connection, some, at, (low, high), [key])
                )
            parts.append(narrowest(connection, some, max(start, end), stop, [key]))
    layer = np.searchsorted(ids, np.concatenate([ids[:0], *(owner for owner, _ in parts)]))
    found = pyramid.concatenate((key,), [part for _, part in parts])
    step, values = _on_grid(layer, found, width, len(ids))
    return LayerMap(
        run_id=run_id,
        key=key,
        rank=within.rank,
        step=step,
        layers=[names[number] for number in ids.tolist()],
        **values,
    )


def _on_grid(
    layer: NDArray[np.intp], found: Cells, width: int, layers: int
) -> tuple[list[int], dict[str, list[list[float | None]]]]:
    """The last step of each bucket, and the parts of `wire.LayerMap` as layers by buckets.

    Args:
        layer: Index of the layer that each of the cells is of.
    """
    bucket, place = np.unique(found.at // width, return_inverse=True)
    step = np.full(bucket.size, -1)
    np.maximum.at(step, place, found.step)
    # All layers merge at once, as buckets of one long row.
    at = layer * bucket.size + place
    order = np.lexsort((found.at, at))
    merged = pyramid.merge(
        Cells(
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
        mean = stats["total"] / np.maximum(stats["count"], 1)

    def spread(values: NDArray[np.float64]) -> list[list[float | None]]:
        full = np.full(measured.shape, np.nan)
        full.flat[merged.at] = values
        return [optional(row, mask) for row, mask in zip(full, measured, strict=True)]

    parts = {"mean": mean, "min": stats["low"], "max": stats["high"]}
    return step.tolist(), {name: spread(values) for name, values in parts.items()}
