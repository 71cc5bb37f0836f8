"""The schema of everything that crosses the network, written once.

Bulk rows travel as an Arrow IPC stream with the schema `ROWS`; resources travel as JSON, each one
a frozen dataclass below, which FastAPI validates and documents as it stands.

Three rules hold everywhere:

* A null means "not measured". A NaN or an infinity means that this was the value; JSON writes
  these as the strings "NaN", "Infinity" and "-Infinity", so that none of them is ever mistaken
  for zero or for nothing.
* `layer` is a parameter's name as in `named_parameters()`; the empty string is the whole model.
* `time` is in seconds since the Unix epoch, `step` counts optimizer steps from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pyarrow as pa

PREFIX = "/api/v1"
"""Path under which version 1 of the HTTP API lives."""

ARROW_STREAM = "application/vnd.apache.arrow.stream"
"""Media type of an Arrow IPC stream."""

SCALARS: dict[str, pa.DataType] = {
    "alpha_hat": pa.float64(),
    "alpha_bar": pa.float64(),
    "alpha_stderr": pa.float64(),
    "xi": pa.float64(),
    "k": pa.int64(),
    "n": pa.int64(),
    "gamma": pa.float64(),
    "beta": pa.float64(),
    "target_alpha": pa.float64(),
    "update_alpha": pa.float64(),
    "grad_norm": pa.float64(),
    "grad_norm_var": pa.float64(),
    "n_zero": pa.int64(),
    "n_nonfinite": pa.int64(),
    "status": pa.int64(),
    "alpha_quarter": pa.float64(),
    "alpha_fourfold": pa.float64(),
    "norm_ratio": pa.float64(),
    "overhead_ms": pa.float64(),
}
"""What the probe measures at a step, by name. Every one of them may be null.

`status` says whether alpha_hat can be used (0 ok, 1 too few entries, 2 degenerate, 3 light tail,
4 non-finite entries); `alpha_quarter` and `alpha_fourfold` are alpha_hat's estimator at a quarter
of `k` and at four times `k`; `norm_ratio` is the norm of the amplified gradient over that of the
raw one; `overhead_ms` is what measuring the step cost the training thread."""

ROWS = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("time", pa.float64()),
        pa.field("layer", pa.string()),
        pa.field("rank", pa.int32()),
        *(pa.field(name, kind) for name, kind in SCALARS.items()),
        pa.field("histogram", pa.binary()),
        pa.field("metrics", pa.map_(pa.string(), pa.float64())),
        pa.field("event", pa.string()),
    ]
)
"""One row per step and layer; `histogram` is `htga_client.histogram.encode`'s bytes, `metrics`
holds what the user logged, `event` is the JSON of an `Event` that happened at this step."""

# Keys of the Arrow schema's metadata, which say who sends a batch and where it stands in line.
WRITER = b"htga.writer"
FIRST_SEQ = b"htga.first_seq"
GAPS = b"htga.gaps"
"""JSON list of [first, end) pairs of sequence numbers that the writer has lost and says so, for
instance because its disk was full. The collector keeps them and expects `end` next."""

RunState = Literal["running", "finished", "failed", "stale", "lost"]
Resume = Literal["never", "allow", "must"]
JSON_FLOATS: dict[str, Any] = {"ser_json_inf_nan": "strings"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What a client says when it registers a run; registering twice changes nothing.

    Attributes:
        id: UUIDv7 made by the client.
        project: What the run belongs to.
        name: A label for people; need not be unique.
        group: Runs to be averaged together share a group; may be empty.
        tags: Labels to filter by.
        config: Hyper-parameters, any JSON object.
        notes: Free text.
        environment: Facts about the machine and the code that a reader may want.
        writer: UUID of the process that will send the rows; a new one starts a new attempt.
        resume: "never" is refused with 409 if the run exists with other writers than this one,
            "must" with 404 if it does not exist, "allow" and None never.
    """

    id: str
    project: str
    name: str
    group: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    notes: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    writer: str | None = None
    resume: Resume | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as the collector knows it.

    Attributes:
        state: One of running, finished, failed, stale, lost.
        attempt: Number of the latest start or resume, from 1.
        created, updated, finished: Unix seconds; `updated` is when the last row was stored.
        archived: Whether the steps have been written to the archive.
        pruned: Whether they are nowhere else: charts show summaries of eight steps, queries all.
        last_step: The highest step stored, or None before the first row.
        summary: The latest value of every scalar of the whole model and of every metric.
        metrics: The names of the user's metrics.
        low, high: The least and the greatest value of each key of the summary so far, those of
            steps included that a later attempt has replaced.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = JSON_FLOATS

    id: str
    project: str
    name: str
    state: RunState
    group: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    notes: str
    environment: dict[str, Any]
    attempt: int
    created: float
    updated: float | None
    finished: float | None
    archived: bool
    last_step: int | None
    summary: dict[str, float]
    metrics: tuple[str, ...]
    pruned: bool = False
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPatch:
    """What is to be changed of a run; None leaves it as it is."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: str | None = None
    group: str | None = None
    tags: tuple[str, ...] | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """A page of runs; `next` is the cursor of the following page, or None at the end."""

    items: tuple[Run, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """How a run ended.

    Attributes:
        state: "finished" or "failed".
        logged: Rows that the client sent in all, so that the collector can tell a complete run
            from one with rows missing.
    """

    state: Literal["finished", "failed"] = "finished"
    logged: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Rows that a writer has lost: `first_seq <= sequence number < end_seq`."""

    writer: str
    first_seq: int
    end_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRow:
    """One row in JSON, for curl and for other languages; all but `step` may be left out."""

    step: int
    time: float | None = None
    layer: str = ""
    rank: int = 0
    alpha_hat: float | None = None
    alpha_bar: float | None = None
    alpha_stderr: float | None = None
    xi: float | None = None
    k: int | None = None
    n: int | None = None
    gamma: float | None = None
    beta: float | None = None
    target_alpha: float | None = None
    update_alpha: float | None = None
    grad_norm: float | None = None
    grad_norm_var: float | None = None
    n_zero: int | None = None
    n_nonfinite: int | None = None
    status: int | None = None
    alpha_quarter: float | None = None
    alpha_fourfold: float | None = None
    norm_ratio: float | None = None
    overhead_ms: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRows:
    """The body of `POST /runs/{id}/rows` in JSON."""

    rows: tuple[JsonRow, ...]


Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run, for people to read.

    Attributes:
        kind: What sort of thing; "alert" is one that the training script said.
        level: How bad it is.
        title: It in a few words.
        text: At length; may be empty.
    """

    kind: str
    level: Level = "info"
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent(Event):
    """An event as the collector keeps it.

    Attributes:
        step, time, rank, layer, attempt: Of the row that brought it.
    """

    step: int
    time: float
    rank: int
    layer: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvents:
    """What happened in a run, in the order of its steps; of more than a thousand, the latest."""

    items: tuple[RunEvent, ...]


RuleKind = Literal["below", "above", "at_bound", "burst", "nonfinite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRule:
    """What is to be watched in the runs of a project.

    It looks at one key of the whole model, on each rank for itself, and fires once when what it
    says has held for `steps` measured values in a row; to fire again it must first not hold.

    Attributes:
        project: Whose runs it is for.
        name: The title of the events that it writes.
        kind: below, above: the value is less, or greater, than `threshold`; at_bound: it equals
            `threshold`, but for rounding; burst: it is greater than `threshold` times the median
            of the 100 values before; nonfinite: it is NaN or infinite.
        key: A scalar such as alpha_bar, or a metric.
        threshold: See `kind`; nothing to nonfinite.
        steps: How many values in a row.
        level: Of the events.
        webhook: An https address that is told, too.
        enabled: Whether it is watched at all.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = JSON_FLOATS

    project: str
    name: str
    kind: RuleKind
    key: str
    threshold: float = 0.0
    steps: int = 1
    level: Level = "warning"
    webhook: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(NewRule):
    """A rule that the collector keeps; `id` is a UUID of its making."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Rules, oldest first."""

    items: tuple[Rule, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The body of `POST /rules/try`: a rule, to be tried on what is stored.

    Attributes:
        runs: Ids of the runs to try it on; empty for all runs of the rule's project.
        cursor: `Firings.next` of the answer before.
    """

    rule: NewRule
    runs: tuple[str, ...] = ()
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """A rule that fired, or would have: in which run, at which step, at what value."""

    __pydantic_config__: ClassVar[dict[str, Any]] = JSON_FLOATS

    run_id: str
    run_name: str
    rank: int
    step: int
    value: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firings:
    """Where a rule would have fired, newest run first; `next` is for the runs not looked at yet."""

    items: tuple[Firing, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A row that was not stored: its index in the request, and why."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The answer to `POST /runs/{id}/rows`, sent after the commit.

    `accepted + duplicates + len(rejected)` equals the number of rows sent; anything else is no
    acknowledgement. `next_seq` is the sequence number that the collector expects of this writer.
    `followed` says whether anyone listens for news: a sender may take its time where nobody does.
    """

    accepted: int
    duplicates: int
    rejected: tuple[Rejection, ...] = ()
    next_seq: int | None = None
    followed: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBuckets:
    """One key of a group of runs. All lists are as long as `GroupSeries.step`.

    A run's value in a bucket is its mean there; one that is not finite has no part in `n` and what
    is made of it. `min` and `max` are of all the values of all runs, so averaging hides no spike.

    Attributes:
        n: How many runs are behind `mean`.
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
    """Runs that have a setting in common, as one series.

    Attributes:
        label: The setting's value in words; empty where they have none.
        members: Their ids.
        step: Of the last row in each bucket.
        keys: The values by key.
    """

    label: str
    members: tuple[str, ...]
    step: list[int]
    keys: dict[str, GroupBuckets]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedSeries:
    """The runs of a project in groups, in the order of their newest runs, on common buckets."""

    project: str
    by: str
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
class Layer:
    """A layer of a run on a rank, and the range of its steps."""

    name: str
    rank: int
    first_step: int
    last_step: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A run that was written to the archive.

    Attributes:
        run_id: The run.
        files: Bytes and SHA-256 by file name.
        rows: Number of rows by table.
        created: Unix seconds.
    """

    run_id: str
    files: dict[str, dict[str, Any]]
    rows: dict[str, int]
    created: float


TokenScope = Literal["ingest", "read", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it is listed, without its secret. Times are in seconds since the epoch.

    Attributes:
        project: The only one that it is for; None for all.
        expires, revoked: None for never.
    """

    id: str
    name: str
    scopes: tuple[TokenScope, ...]
    project: str | None
    created: float
    expires: float | None
    revoked: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens of a collector, oldest first."""

    items: tuple[Token, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Of some durations, in milliseconds; None where there was none."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a collector is doing. Runs and rows are those of the database, all else of one process.

    Attributes:
        version: Of the package.
        uptime_s: Seconds since it started.
        database: Kind of the database.
        database_bytes: Its size, SQLite's write-ahead log included.
        runs, running: Runs that may be seen, and those among them that are alive.
        rows_total: Rows that they were sent so far.
        rows_per_s: Rows accepted per second, over the last minute.
        queue: Writes that wait.
        commit_ms: Time of a transaction, over the last minute.
        live_clients: Open event streams.
        last_write_s: Seconds since a row was stored, or None if there was none yet.
        disk_free: Bytes left on the disk of the data folder.
    """

    version: str
    uptime_s: float
    database: Literal["sqlite", "postgresql"]
    database_bytes: int
    runs: int
    running: int
    rows_total: int
    rows_per_s: float
    queue: int
    commit_ms: Quantiles
    live_clients: int
    last_write_s: float | None
    disk_free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as `application/problem+json` (RFC 9457)."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    instance: str | None = None
