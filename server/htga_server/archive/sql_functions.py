"""What SQL can ask of a histogram of |gradient|.

In: a histogram as the column `histogram` holds it. Out: numbers, bins, or a histogram. Null stays
null, and bytes that are no histogram are an error that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypedDict

import duckdb
import numpy as np
from duckdb.func import FunctionNullHandling
from numpy.typing import NDArray

from htga_client.statistics.hill import hill_at
from htga_client.wire import histogram as coding
from htga_client.wire.histogram import Histogram
from htga_server.timeseries.histogram_blocks import sum_histograms
from htga_server.timeseries.rollup import WINDOW_STEPS


class Bin(TypedDict):
    """Entries from a magnitude up to another."""

    lower: float
    upper: float
    entries: int


def hill(histogram: bytes, k: int) -> float | None:
    """Return Hill's index of the largest `k` entries, or None of a sample that has none."""
    one = coding.decode(histogram)
    if not 0 < k < one.counts.sum():
        return None
    counts = np.zeros(coding.n_bins(one.bits), np.int64)
    counts[one.first : one.first + one.counts.size] = one.counts
    alpha = hill_at(counts, one.bits, k).alpha
    return float(alpha) if np.isfinite(alpha) else None


def histogram_quantile(histogram: bytes, q: float) -> float | None:
    """Return the magnitude below which a share of the entries lies, zeros included.

    Within a bin the entries are taken as evenly spread.

    Raises:
        ValueError: `q` is not between 0 and 1.
    """
    if not 0 <= q <= 1:
        raise ValueError(f"q must be between 0 and 1, got {q}")
    one = coding.decode(histogram)
    below = one.n_zero + np.concatenate([[0], one.counts.cumsum()])
    if not below[-1]:
        return None
    edges = _edges(one)
    return float(np.interp(q * below[-1], below, edges)) if q * below[-1] > one.n_zero else 0.0


def histogram_bins(histogram: bytes) -> list[Bin]:
    """Return the bins from the smallest entry to the largest, without those of no entries."""
    one = coding.decode(histogram)
    edges = _edges(one).tolist()
    found = zip(edges, edges[1:], one.counts.tolist(), strict=False)
    return [Bin(lower=low, upper=high, entries=n) for low, high, n in found if n]


def merge(histograms: list[bytes | None]) -> bytes | None:
    """Return the histogram of all entries of several: `merge(list(histogram))`.

    Raises:
        ValueError: One of them is no histogram.
    """
    known = [one for one in histograms if one is not None]
    if len(known) == 1:
        coding.decode(known[0])  # what is no histogram is refused here, too
    while len(known) > 1:
        decoded, count = coding.decode_all(known), len(known)
        if not decoded.valid.all():
            raise ValueError("merge needs histograms, and one of these is none")
        starts = range(0, count, WINDOW_STEPS)
        known = sum_histograms(
            decoded, [slice(start, min(start + WINDOW_STEPS, count)) for start in starts]
        )
    return known[0] if known else None


def create_functions(duck: duckdb.DuckDBPyConnection) -> None:
    """Make them known to a connection."""
    bins = "STRUCT(lower DOUBLE, upper DOUBLE, entries BIGINT)[]"
    functions: tuple[tuple[Callable[..., Any], list[Any], str], ...] = (
        (hill, ["BLOB", "BIGINT"], "DOUBLE"),
        (histogram_quantile, ["BLOB", "DOUBLE"], "DOUBLE"),
        (histogram_bins, ["BLOB"], bins),
        (merge, ["BLOB[]"], "BLOB"),
    )
    for function, takes, gives in functions:
        special = FunctionNullHandling.SPECIAL  # without it, none may return null
        call = _of_null(function)
        duck.create_function(function.__name__, call, takes, gives, null_handling=special)


def _of_null(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is null where an argument is."""

    @wraps(function)
    def call(*arguments: Any) -> Any:
        return None if None in arguments else function(*arguments)

    return call


def _edges(one: Histogram) -> NDArray[np.float64]:
    return coding.edges(one.bits, one.first, one.counts.size)
