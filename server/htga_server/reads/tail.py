"""The tail of one histogram: survival, the Hill plot and one fit; and its index over steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import sqlalchemy as sa

from htga_client.statistics.hill import default_k, hill_at, hill_plot
from htga_client.wire import Tail, TailFit, TailSeries
from htga_client.wire.histogram import Histogram, decode, edges, n_bins
from htga_server.problems import NotFound
from htga_server.reads import histograms
from htga_server.reads.series import Range
from htga_server.runs.lookup import key_of, name_ids
from htga_server.storage.tables import cells
from htga_server.storage.values import to_optional_list
from htga_server.timeseries.rollup import MAX_STEP, WINDOW_STEPS
from htga_server.timeseries.series_key import LAYERS, SeriesKey
from htga_server.timeseries.snapshot import Snapshot

BITS = 3
"""Resolution of the histograms that the probe sends; coarser ones are read as they are."""


def read(snapshot: Snapshot, run_id: str, *, layer: str, rank: int, step: int | None) -> Tail:
    """Return the tail of the latest histogram up to `step`.

    Of a run whose archive is damaged it is the tail of a window of 64 steps.

    Raises:
        NotFound: No such run exists, or it has no histogram up to `step`.
    """
    connection = snapshot.connection
    run_key = key_of(connection, run_id)
    layer_id = name_ids(connection, run_key, "layer").get(layer, -1)
    key = SeriesKey(LAYERS, run_key, layer_id, rank)
    before = MAX_STEP if step is None else step
    rows = snapshot.rows_of(run_key, LAYERS)
    found = _summed(connection, key, before) if rows is None else rows.last_histogram(key, before)
    if found is None:
        raise NotFound(f"run {run_id} has no histogram of layer {layer[:80]!r} by step {step}")
    at, blob = found
    described = describe(decode(blob), run_id=run_id, layer=layer, step=at)
    return replace(described, damaged=tuple(snapshot.damaged))


def over_steps(
    snapshot: Snapshot, run_id: str, within: Range, buckets: int, fraction: float
) -> TailSeries:
    """Return the tail index of one share of the entries over steps.

    Raises:
        NotFound: No such run exists.
        BadRequest: The cursor is invalid.
    """
    found = histograms.read_columns(snapshot, run_id, within, buckets, BITS)
    n = found.counts.sum(axis=1)
    every = np.zeros(n_bins(found.bits), np.int64)
    own = every[found.low : found.low + found.counts.shape[1]]
    index = []
    for counts, size in zip(found.counts, n.tolist(), strict=True):
        own[:] = counts
        index.append(hill_at(every, found.bits, round(fraction * size)))
    alpha, stderr, k = np.array(index, np.float64).reshape(-1, 3).T
    usable = np.isfinite(alpha)
    return TailSeries(
        run_id=run_id,
        layer=within.layer,
        fraction=fraction,
        step=found.step.tolist(),
        alpha=to_optional_list(alpha, usable),
        stderr=to_optional_list(stderr, usable),
        k=k.astype(np.int64).tolist(),
        n=n.tolist(),
        total=found.total,
        cursor=found.cursor,
        damaged=tuple(snapshot.damaged),
    )


def _summed(connection: sa.Connection, key: SeriesKey, before: int) -> tuple[int, bytes] | None:
    """Return the last step and the histogram sum of a window, which remains when rows are gone."""
    row = connection.execute(
        sa.select(cells.c.step, cells.c.histogram)
        .where(*key.conditions(cells), cells.c.level == 2, cells.c.histograms > 0)
        .where(cells.c.cell <= before // WINDOW_STEPS)
        .order_by(cells.c.cell.desc())
        .limit(1)
    ).one_or_none()
    return row and (row.step, bytes(row.histogram))


def describe(histogram: Histogram, *, run_id: str, layer: str, step: int) -> Tail:
    """Return what a plot of the tail needs.

    The fit is at the threshold whose number of entries at or above it is nearest to 1 % of
    all, and at least 50.
    """
    counts = histogram.counts.astype(np.int64)
    edge = edges(histogram.bits, histogram.first, counts.size)
    above = counts[::-1].cumsum()[::-1]
    n = int(above[0]) if above.size else 0
    plot = hill_plot(edge, counts)
    alpha, stderr = np.full(counts.size, np.nan), np.full(counts.size, np.nan)
    places = np.searchsorted(edge, plot.threshold)
    alpha[places], stderr[places] = plot.alpha, plot.stderr
    usable = np.isfinite(alpha)
    wanted = default_k(n)
    chosen = plot.nearest(wanted) if wanted else None
    fit = None
    if chosen is not None:
        fit = TailFit(
            alpha=float(plot.alpha[chosen]),
            stderr=float(plot.stderr[chosen]),
            k=int(plot.k[chosen]),
            threshold=float(plot.threshold[chosen]),
        )
    return Tail(
        run_id=run_id,
        layer=layer,
        step=step,
        magnitude=edge[:-1].tolist(),
        survival=(above / max(n, 1)).tolist(),
        k=above.tolist(),
        alpha=to_optional_list(alpha, usable),
        stderr=to_optional_list(stderr, usable),
        fit=fit,
        n=n,
        n_zero=histogram.n_zero,
        n_nonfinite=histogram.n_nonfinite,
    )
