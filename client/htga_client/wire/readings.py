"""What readers get of runs: series, histograms, tails, layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from htga_client.wire.shared import JSON_FLOATS


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """One key of a series. All four lists are as long as `Series.step`; None means not measured.

    For raw points the four lists are equal. `mean` is the plain mean, so it is non-finite if one
    value of its bucket is; `min` and `max` ignore NaN unless there is nothing else, so that one NaN
    does not hide the range of the others.
    """

    mean: list[float | None]
    min: list[float | None]
    max: list[float | None]
    last: list[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values over steps, reduced to at most the requested number of buckets.

    Attributes:
        step, time: Step and time of the last row in each bucket.
        keys: The values by key.
        buckets: Length of `step`.
        total: Number of stored rows in these buckets.
        cursor: Pass it back as `since` to get only later rows; opaque.
        damaged: A sentence for each damaged file of the archive, in whose place summaries of eight
            or more steps are shown.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = JSON_FLOATS

    run_id: str
    layer: str
    step: list[int]
    time: list[float | None]
    keys: dict[str, Buckets]
    buckets: int
    total: int
    cursor: str | None
    damaged: tuple[str, ...] = ()


Axis = Literal["step", "time", "relative"]
"""The axis of a chart: steps, seconds since 1970, or seconds since a run's first row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBuckets:
    """One key of a group of runs. All lists are as long as `GroupSeries.x`.

    A run's value in a bucket is its mean there. If a run has no value where another has one, it is
    interpolated between its neighbouring buckets; but not before its first, after its last, or next
    to a non-finite one. `min` and `max` are over all values of all runs, so averaging hides no
    spike, and over interpolated values, so the mean lies between them.

    Attributes:
        n: Number of runs behind `mean`; non-finite ones are left out.
        mean: Mean over the runs; None if n is 0.
        sd: Sample standard deviation; None, like the next two, if n is less than 2.
        low, high: The 95 % interval of the mean by Student's t.
        min, max: As in `Buckets`.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = JSON_FLOATS

    n: list[int]
    mean: list[float | None]
    sd: list[float | None]
    low: list[float | None]
    high: list[float | None]
    min: list[float | None]
    max: list[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSeries:
    """Runs with common settings, as one series.

    Attributes:
        label: The settings, as in `lr=0.1, group=warm`, with "(none)" for a missing one; for a
            single run its name or id.
        members: Ids of the runs.
        x: Position of each bucket on the axis of `GroupedSeries`: that of the group's last row in
            it, or, if the runs have too many different times, one of evenly spaced times.
        keys: The values by key.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = JSON_FLOATS

    label: str
    members: tuple[str, ...]
    x: list[float]
    keys: dict[str, GroupBuckets]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedSeries:
    """Runs in groups, in the order of their first runs.

    Attributes:
        by: The common settings of the runs of a group; none if each run is its own group.
        axis: Axis of `GroupSeries.x`.
        damaged: As in `Series`.
    """

    by: tuple[str, ...]
    axis: Axis
    items: tuple[GroupSeries, ...]
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Histograms:
    """Histograms of |gradient| over steps, on bins shared by all columns.

    Attributes:
        step: Step of the last row in each bucket, length S.
        edges: Bin edges in units of |gradient|, length B + 1, increasing, log spaced.
        counts: S lists of B counts; the steps of one bucket are summed.
        n_zero, n_nonfinite: Number of entries outside all bins, length S.
        total: Number of stored histograms in these columns.
        cursor, damaged: As in `Series`.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = JSON_FLOATS

    run_id: str
    layer: str
    step: list[int]
    edges: list[float]
    counts: list[list[int]]
    n_zero: list[int]
    n_nonfinite: list[int]
    total: int
    cursor: str | None
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TailFit:
    """A tail index, its standard error, and the number of entries at or above its threshold."""

    alpha: float
    stderr: float
    k: int
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The tail of |gradient| at one step, above the lower edge of each bin.

    Attributes:
        magnitude: The thresholds, length B, increasing.
        survival: Share of the finite, non-zero entries at or above each.
        k: Number of those entries.
        alpha, stderr: The tail index above each threshold, and its standard error; None without an
            estimate, or if a lower threshold has the same entries above it.
        fit: The estimate at the threshold chosen by k; None if there are too few entries.
        n: Number of finite, non-zero entries.
        n_zero, n_nonfinite: Number of the other entries.
        damaged: As in `Series`; the tail is then that of a window of 64 steps.
    """

    run_id: str
    layer: str
    step: int
    magnitude: list[float]
    survival: list[float]
    k: list[int]
    alpha: list[float | None]
    stderr: list[float | None]
    fit: TailFit | None
    n: int
    n_zero: int
    n_nonfinite: int
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TailSeries:
    """The tail index of one share of the entries over steps, from the stored histograms.

    It is the same functional of every histogram, whatever sample and tail size the run's own
    `alpha_hat` had, so that runs can be compared. All lists have the length S.

    Attributes:
        fraction: The tail's share of the finite, non-zero entries.
        step: Step of the last histogram in each bucket; the histograms of a bucket are summed.
        alpha, stderr: The tail index of the largest k entries, and its standard error; None
            without an estimate.
        k, n: Size of the tail, and number of finite, non-zero entries.
        total: Number of stored histograms.
        cursor, damaged: As in `Series`.
    """

    run_id: str
    layer: str
    fraction: float
    step: list[int]
    alpha: list[float | None]
    stderr: list[float | None]
    k: list[int]
    n: list[int]
    total: int
    cursor: str | None
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMap:
    """One scalar of all layers over steps, on buckets shared by all of them.

    Attributes:
        step: Step of the last row in each bucket, length S.
        layers: Names of the layers in the order of their first rows, length L, without the whole
            model.
        mean, min, max: L lists of S values, as in `Buckets`.
        damaged: As in `Series`.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = JSON_FLOATS

    run_id: str
    key: str
    rank: int
    step: list[int]
    layers: list[str]
    mean: list[list[float | None]]
    min: list[list[float | None]]
    max: list[list[float | None]]
    damaged: tuple[str, ...] = ()


LEFT_OUT = b"left_out"
"""Key of a table's metadata that lists, as JSON, the damaged files whose rows it lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The body of `POST /query`: one SELECT over the tables of runs."""

    sql: str
    limit: int = 10_000
