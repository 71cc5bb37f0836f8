"""Rows, in bulk or in JSON, and the receipt for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import pyarrow as pa

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
    "n_total": pa.int64(),
    "scope": pa.int64(),
    "estimator": pa.int64(),
    "control_alpha": pa.float64(),
    "control_alpha_bar": pa.float64(),
    "control_stderr": pa.float64(),
    "control_scope": pa.int64(),
    "lr": pa.float64(),
    "update_norm": pa.float64(),
    "weight_norm": pa.float64(),
    "update_ratio": pa.float64(),
    "update_cosine": pa.float64(),
    "momentum_cosine": pa.float64(),
    "update_stderr": pa.float64(),
    "weight_alpha": pa.float64(),
    "weight_stderr": pa.float64(),
    "noise_alpha": pa.float64(),
    "noise_stderr": pa.float64(),
    "noise_norm": pa.float64(),
    "noise_norm_alpha": pa.float64(),
    "noise_slope": pa.float64(),
    "noise_scale": pa.float64(),
    "noise_share": pa.float64(),
    "noise_sigma": pa.float64(),
    "noise_hill": pa.float64(),
    "esd_alpha": pa.float64(),
    "esd_alpha_null": pa.float64(),
    "sharpness": pa.float64(),
    "sharpness_error": pa.float64(),
}
"""The scalars that the probe measures at a step, by name. Each may be null.

`status` tells whether alpha_hat can be used (0 ok, 1 too few entries, 2 degenerate, 3 light tail,
4 non-finite entries); `alpha_quarter` and `alpha_fourfold` are Hill's index at a quarter of `k` and
at four times `k`; `norm_ratio` is the norm of the amplified gradient over that of the raw one;
`overhead_ms` is the time that measuring took on the training thread; `n_total` is the number of
entries of the gradient, of which `n`, `n_zero` and `n_nonfinite` count those that were measured;
`scope` and `control_scope` are a `Scope`, `estimator` is an `Estimator`. What begins with
`control_` is of the sample that an optimizer controls, with `update_` of the step that was applied,
with `weight_` of the parameters, with `noise_` of the differences between minibatches, with `esd_`
of the eigenvalues of a weight matrix (docs/measures.md has them one by one); everything else is of
the raw gradient. `lr` is the learning rate of the parameters' group, `sharpness` the largest
eigenvalue of the loss's Hessian. New scalars go to the end: the collector's rollups know them by
their place."""


class Scope(IntEnum):
    """What is one sample of a tail index."""

    GLOBAL = 0
    """All parameters."""
    GROUP = 1
    """Each parameter group; the index is a mean over them."""
    TENSOR = 2
    """Each tensor; in a row of the whole model, the index is a mean over them."""
    RMS_NORMALISED = 3
    """All parameters, each tensor divided by its root mean square first."""
    UPDATE_GLOBAL = 4
    """As the four above, of what the base optimizer makes of the gradient."""
    UPDATE_GROUP = 5
    UPDATE_TENSOR = 6
    UPDATE_RMS_NORMALISED = 7


class Estimator(IntEnum):
    """How alpha_hat was estimated."""

    HILL = 0
    """Hill's estimator on the largest entries."""
    BINNED_HILL = 1
    """The same on the counts of a histogram."""


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
"""One row per step and layer. `histogram` holds the bytes of `htga_client.wire.histogram.encode`,
`metrics` the user's metrics, `event` the JSON of an `Event`."""

# Keys of the Arrow schema's metadata: the writer of a batch and its place in the sequence.
WRITER = b"htga.writer"
FIRST_SEQ = b"htga.first_seq"
GAPS = b"htga.gaps"
"""JSON list of [first, end) pairs of sequence numbers that the writer has lost, for instance
because its disk was full. The collector records them and expects `end` next."""
ATTEMPT_OF = b"htga.attempt_of"
"""In place of the writer: rows of this writer that come outside of its numbers, because they were
refused before. They belong to its attempt; a row that is sent twice is stored over itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRow:
    """One row in JSON, for curl and other languages; all fields but `step` are optional."""

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
    n_total: int | None = None
    scope: int | None = None
    estimator: int | None = None
    control_alpha: float | None = None
    control_alpha_bar: float | None = None
    control_stderr: float | None = None
    control_scope: int | None = None
    lr: float | None = None
    update_norm: float | None = None
    weight_norm: float | None = None
    update_ratio: float | None = None
    update_cosine: float | None = None
    momentum_cosine: float | None = None
    update_stderr: float | None = None
    weight_alpha: float | None = None
    weight_stderr: float | None = None
    noise_alpha: float | None = None
    noise_stderr: float | None = None
    noise_norm: float | None = None
    noise_norm_alpha: float | None = None
    noise_slope: float | None = None
    noise_scale: float | None = None
    noise_share: float | None = None
    noise_sigma: float | None = None
    noise_hill: float | None = None
    esd_alpha: float | None = None
    esd_alpha_null: float | None = None
    sharpness: float | None = None
    sharpness_error: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRows:
    """The body of `POST /runs/{id}/rows` in JSON."""

    rows: tuple[JsonRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A row that was not stored: its index in the request, and why."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A part of rows that was not stored, while the rest of each row was.

    Attributes:
        what: "metric", "layer", "histogram", "event" or "writer".
        name: Its name, shortened; empty if it has none, or if it stands for all further names.
        reason: Why it was left out.
        rows: Number of rows that had it.
    """

    what: str
    name: str
    reason: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The answer to `POST /runs/{id}/rows`, sent after the commit.

    `accepted + duplicates + len(rejected)` equals the number of rows sent; anything else is no
    acknowledgement. `next_seq` is the sequence number that the collector expects of this writer.
    `left_out` names the parts of accepted rows that were not stored, each once.
    `min_interval` is how many seconds a sender should let pass before its next request: few while
    the run is viewed, more the more senders there are.
    """

    accepted: int
    duplicates: int
    rejected: tuple[Rejection, ...] = ()
    next_seq: int | None = None
    min_interval: float = 2.0
    left_out: tuple[LeftOut, ...] = ()
