"""What became of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A snapshot of a sender's books; `logged == acked + queued + sum(dropped.values())` always.

    Attributes:
        logged: Rows handed over.
        acked: Rows that the collector has stored.
        queued: Rows on their way, in memory or on disk.
        dropped: Rows given up, by reason: "queue_full", they came faster than they could be
            written; "spool_full", there was no room for the oldest; "corrupt", they could not be
            read again; "callable", making the row failed; "invalid", no row of telemetry;
            "refused" by the collector, and set aside; "closed", handed over after the end, or
            lost with the memory at it.
        retries: Requests that were repeated.
        reached: Whether the collector has ever answered.
    """

    logged: int = 0
    acked: int = 0
    queued: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    reached: bool = False
