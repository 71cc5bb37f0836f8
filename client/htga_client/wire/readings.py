"""What is read of runs: series, histograms, tails, layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from htga_client.wire.shared import JSON_FLOATS


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """One key of a series. All four lists are as long as `Series.step`; None means not measured.

    Where raw points are sent the four lists are equal. `mean` is the plain mean, so it is not
    finite as soon as one value of its bucket is not; `min` and `max` pass over NaN unless there is
    nothing else, so that one NaN does not hide the range of the others.
    """

    mean: list[float | None]
    min: list[float | None]
    max: list[float | None]
    last: list[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values over steps, reduced to at most the number of buckets asked for.

    Attributes:
        step, time: Of the last row in each bucket.
        keys: The values by key.
        buckets: Length of `step`.
        total: Number of stored rows that these buckets summarise.
        cursor: Pass it back as `since` to get only what came later; opaque.
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


Axis = Literal["step", "time", "relative"]
"""What runs are laid along: steps, seconds since 1970, or seconds since a run's first row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBuckets:
    """One key of a group of runs. All lists are as long as `GroupSeries.x`.

    A run's value in a bucket is its mean there. Where a run was not measured but another was, it is
    interpolated between the two of its own buckets around; not beyond its first or its last, nor
    beside one that is not finite. `min` and `max` are of all the values of all runs, so averaging
    hides no spike, and of what was interpolated, so the mean lies between them.

    Attributes:
        n: How many runs are behind `mean`; one that is not finite there has no part in it.
        mean: Of the runs; None where n is 0.
        sd: Their sample standard deviation; None, like the next two, where n is less than 2.
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
    """Runs that have settings in common, as one series.

    Attributes:
        label: Their settings in words, `lr=0.1, group=warm`, with "(none)" for one that they do not
            have; of a run that stands alone, its name or else its id.
        members: Their ids.
        x: Where each bucket lies on the axis of `GroupedSeries`: of the group's last row in it, or
            where the buckets of several runs lie at too many times, one of evenly spaced times.
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
        by: The settings that the runs of a group have in common; none if each run stands alone.
        axis: What `GroupSeries.x` counts.
    """

    by: tuple[str, ...]
    axis: Axis
    items: tuple[GroupSeries, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histograms:
    """Histograms of |gradient| over steps, on bins shared by all columns.

    Attributes:
        step: Of the last row in each bucket of steps, length S.
        edges: Bin edges in units of |gradient|, length B + 1, increasing, log spaced.
        counts: S lists of B counts; counts of the steps within one bucket are summed.
        n_zero, n_nonfinite: Entries that no bin can hold, length S.
        total: Number of stored histograms that these columns summarise.
        cursor: As in `Series`.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TailFit:
    """A tail index, its standard error, and the number of entries at or above its threshold."""

    alpha: float
    stderr: float
    k: int
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The tail of |gradient| at one step, with each bin's lower edge for threshold in turn.

    Attributes:
        magnitude: The thresholds, length B, increasing.
        survival: Share of the finite, non-zero entries at or above each.
        k: Number of those entries.
        alpha, stderr: The tail index above each threshold, and its standard error; None where
            nothing can be said, or where a lower threshold has the same entries above it.
        fit: At one of the thresholds, chosen by k; None where there are too few entries.
        n: Number of finite, non-zero entries.
        n_zero, n_nonfinite: The others.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMap:
    """One scalar of all layers over steps, on buckets shared by all of them.

    Attributes:
        step: Of the last row in each bucket, length S.
        layers: Names of the layers in the order in which they came, length L; the whole model is
            none of them.
        mean, min, max: L lists of S values, as in `Buckets`.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The body of `POST /query`: one SELECT over the tables runs, steps and metrics."""

    sql: str
    limit: int = 10_000
