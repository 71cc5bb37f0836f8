"""The collector itself: its state, its tokens and its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TokenScope = Literal["ingest", "read", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token without its secret. Times are in seconds since the epoch.

    Attributes:
        project: The only project that it may access; None for all.
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
    """Quantiles of durations in milliseconds; None without any durations."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """State of a collector. Runs and rows are counted in the database, all else in one process.

    Attributes:
        version: Version of the package.
        uptime_s: Seconds since it started.
        database: Kind of the database.
        database_bytes: Size of the database, including SQLite's write-ahead log.
        runs, running: Number of visible runs, and of those that are running.
        rows_total: Number of rows that these runs have received.
        rows_per_s: Rows accepted per second, over the last minute.
        queue: Number of waiting writes.
        commit_ms: Duration of a transaction, over the last minute.
        live_clients: Number of open event streams.
        last_write_s: Seconds since a row was stored, or None if there was none yet.
        disk_free: Bytes left on the disk of the data folder.
        archive_damaged: Number of files of the archive that are not what was archived, as far as
            this collector has read them again.
        archive_faults: A sentence for each of the first of them.
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
    archive_damaged: int = 0
    archive_faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as `application/problem+json` (RFC 9457)."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    instance: str | None = None
