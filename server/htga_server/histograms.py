"""Reading histograms of |gradient| over steps: counts summed per bucket of steps."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from htga_client.histogram import Histograms as Decoded
from htga_client.histogram import decode_all, edges
from htga_client.wire import Histograms
from htga_server.buckets import starts
from htga_server.runs import key_of, name_ids
from htga_server.series import Range, latest_attempts
from htga_server.tables import steps


def read(
    connection: sa.Connection, run_id: str, within: Range, buckets: int, bits: int
) -> Histograms:
    """Histograms of a layer, on bins of `2**bits` per octave.

    A histogram that was sent with coarser bins than asked for sets the resolution of all.

    Raises:
        NotFound: There is no such run.
        BadRequest: The cursor is none of ours.
    """
    run_key = key_of(connection, run_id)
    layer_id = name_ids(connection, run_key, "layer").get(within.layer, -1)
    rows = latest_attempts(
        connection.execute(
            sa.select(steps.c.step, steps.c.attempt, steps.c.histogram)
            .where(
                steps.c.run_key == run_key,
                steps.c.layer_id == layer_id,
                steps.c.histogram.is_not(None),
                *within.where(steps),
            )
            .order_by(steps.c.step, steps.c.attempt)
        ).all()
    )
    step = np.array([row.step for row in rows], np.int64)
    decoded = decode_all([bytes(row.histogram) for row in rows])
    bits = min(bits, int(decoded.bits.min(initial=bits)))
    first = starts(step, buckets)
    low, counts = _on_common_bins(decoded, bits)
    last = np.append(first[1:], step.size) - 1 if step.size else first

    def per_bucket(values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.add.reduceat(values, first, axis=0) if first.size else values

    return Histograms(
        run_id=run_id,
        layer=within.layer,
        step=step[last].tolist(),
        edges=edges(bits, low, counts.shape[1]).tolist(),
        counts=per_bucket(counts).tolist(),
        n_zero=per_bucket(decoded.n_zero).tolist(),
        n_nonfinite=per_bucket(decoded.n_nonfinite).tolist(),
        total=step.size,
        cursor=str(step[-1]) if step.size else None,
    )


def _on_common_bins(decoded: Decoded, bits: int) -> tuple[int, NDArray[np.int64]]:
    """Counts of shape [steps, bins] on the coarser bins of `bits`, and the first bin's index."""
    size = decoded.size
    row = np.repeat(np.arange(size.size), size)
    place = np.arange(row.size) - np.repeat(np.cumsum(size) - size, size)
    fine = np.repeat(decoded.first, size) + place
    index = fine >> np.repeat(decoded.bits - bits, size)
    low = int(index.min(initial=index[0] if index.size else 0))
    counts = np.zeros((size.size, int(index.max(initial=low - 1)) - low + 1), np.int64)
    np.add.at(counts, (row, index - low), decoded.counts)
    return low, counts
