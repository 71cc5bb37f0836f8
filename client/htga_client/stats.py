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
        queued: Rows on their way.
        dropped: Rows given up, by reason: "queue_full"; "closed" (handed over after the end, or
            undelivered at it); "invalid" (no row of telemetry); "callable" (making the row failed);
            "refused" (by the collector, kept in `Sender.dead`).
        retries: Requests that were repeated.
        reached: Whether the collector has ever answered.
    """

    logged: int = 0
    acked: int = 0
    queued: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    reached: bool = False
