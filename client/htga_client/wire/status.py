"""The collector itself: how it is doing, who may reach it, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
