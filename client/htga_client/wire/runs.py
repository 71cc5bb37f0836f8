"""Runs: what a client says of one, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from htga_client.wire.shared import JSON_FLOATS

RunState = Literal["running", "finished", "failed", "stale", "lost"]
Resume = Literal["never", "allow", "must"]


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
    """A page of runs.

    Attributes:
        next: The cursor of the following page, or None at the end.
        total: Number of runs over all pages; only in a first page, and only if it was asked for.
        unknown: Names in the search under which no run has a value; only in a first page.
    """

    items: tuple[Run, ...]
    next: str | None = None
    total: int | None = None
    unknown: tuple[str, ...] = ()


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
class Layer:
    """A layer of a run on a rank, and the range of its steps."""

    name: str
    rank: int
    first_step: int
    last_step: int


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
