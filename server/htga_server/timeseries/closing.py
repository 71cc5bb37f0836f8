"""Windows of a series that are to be closed, and where their rows are."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from htga_server.timeseries.rollup import WINDOW_STEPS
from htga_server.timeseries.row_batch import Rows
from htga_server.timeseries.series_key import SeriesKey


class Closing(NamedTuple):
    """Windows of one series.

    Attributes:
        key: The series.
        open_window: The window of its last step; that one stays open.
        stored: Windows of which rows are stored, to be read back.
        batch: Rows that come now. Windows that are not in `stored` consist of these alone.
        attempt: The attempt of the batch.
    """

    key: SeriesKey
    open_window: int
    stored: Collection[int]
    batch: Rows | None = None
    attempt: int = 0


def window_bounds(window: int) -> tuple[int, int]:
    """Return the steps [start, stop) of a window."""
    return window * WINDOW_STEPS, (window + 1) * WINDOW_STEPS
