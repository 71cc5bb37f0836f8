"""The tail of one histogram: survival, the Hill plot at every threshold, and one fit.

The tail index at a threshold is the maximum likelihood of a Pareto tail seen in bins: of the counts
n_j on bins from t_j to t_(j+1), in units of the threshold, it maximises
sum_j n_j ln(t_j**-a - t_(j+1)**-a). Bins differ in width within an octave and all octaves are
alike, so only the counts by kind of bin and the sum of ln t_j are needed, for all thresholds at
once.
"""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.histogram import Histogram, decode, edges
from htga_client.wire import Tail, TailFit
from htga_server.columns import optional
from htga_server.problems import NotFound
from htga_server.pyramid import MAX_STEP, WINDOW
from htga_server.runs import key_of, name_ids
from htga_server.tables import packs
from htga_server.tracks import LAYERS, Track, histograms

NEWTON_STEPS = 4
LEAST_K = 50
Floats = NDArray[np.float64]


def read(
    connection: sa.Connection, run_id: str, *, layer: str, rank: int, step: int | None
) -> Tail:
    """The tail at the latest histogram that is not after `step`.

    Raises:
        NotFound: There is no such run, or no histogram that early.
    """
    run_key = key_of(connection, run_id)
    layer_id = name_ids(connection, run_key, "layer").get(layer, -1)
    track = Track(LAYERS, run_key, layer_id, rank)
    before = MAX_STEP if step is None else step
    first = connection.scalar(
        sa.select(sa.func.max(packs.c.step)).where(*track.of(packs), packs.c.step <= before)
    )
    if first is None:
        raise NotFound(f"run {run_id} has no histogram of layer {layer[:80]!r} by step {step}")
    window = first // WINDOW * WINDOW
    found = histograms(connection, track, window, min(window + WINDOW, before + 1))
    at, attempts = list(found.items())[-1]
    return describe(decode(attempts[max(attempts)]), run_id=run_id, layer=layer, step=at)


def describe(histogram: Histogram, *, run_id: str, layer: str, step: int) -> Tail:
    """All that a plot of the tail needs.

    The fit is at the threshold with a number of entries at or above it nearest to n**0.6, at least
    50 and at most n / 10.
    """
    counts = histogram.counts.astype(np.float64)
    edge = edges(histogram.bits, histogram.first, counts.size)
    above = np.cumsum(counts[::-1])[::-1]
    n = int(above[0]) if above.size else 0
    alpha, stderr = hill(histogram)
    usable = np.isfinite(alpha)
    wanted = min(max(round(n**0.6), LEAST_K), n // 10)
    fit = None
    if usable.any() and wanted >= LEAST_K:
        place = int(np.argmin(np.where(usable, np.abs(above - wanted), np.inf)))
        fit = TailFit(
            alpha=float(alpha[place]),
            stderr=float(stderr[place]),
            k=int(above[place]),
            threshold=float(edge[place]),
        )
    return Tail(
        run_id=run_id,
        layer=layer,
        step=step,
        magnitude=edge[:-1].tolist(),
        survival=(above / max(n, 1)).tolist(),
        k=above.astype(np.int64).tolist(),
        alpha=optional(alpha, usable),
        stderr=optional(stderr, usable),
        fit=fit,
        n=n,
        n_zero=histogram.n_zero,
        n_nonfinite=histogram.n_nonfinite,
    )


def hill(histogram: Histogram) -> tuple[Floats, Floats]:
    """Tail index and its standard error with each bin's lower edge for threshold, shape [B].

    NaN where nothing can be said: below the smallest normal number, or where all entries above lie
    in the lowest bin.
    """
    counts, kinds = histogram.counts.astype(np.float64), 1 << histogram.bits
    logs = np.log(np.maximum(edges(histogram.bits, histogram.first, counts.size), 2.0**-149))
    kind = (histogram.first + np.arange(counts.size)) % kinds
    widths = np.log1p(1.0 / (kinds + np.arange(kinds)))
    by_kind = np.zeros((counts.size, kinds))
    by_kind[np.arange(counts.size), kind] = counts
    above = np.cumsum(by_kind[::-1], axis=0)[::-1]
    size = above.sum(axis=1)
    distance = np.cumsum((counts * logs[:-1])[::-1])[::-1] - size * logs[:-1]
    usable = (size > 0) & (distance > 1e-12 * size)
    usable &= histogram.first + np.arange(counts.size) >= kinds  # subnormals have other widths
    alpha, stderr = np.full(counts.size, np.nan), np.full(counts.size, np.nan)
    above, size, distance = above[usable], size[usable], distance[usable]
    width = above @ widths / size
    best = np.log1p(width * size / distance) / width
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(NEWTON_STEPS):
            growth = np.expm1(best[:, None] * widths)
            information = (above * widths**2 * (growth + 1) / growth**2).sum(axis=1)
            best = best + ((above * widths / growth).sum(axis=1) - distance) / information
    alpha[usable], stderr[usable] = best, 1 / np.sqrt(information)
    return alpha, stderr
