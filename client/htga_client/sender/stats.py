"""What became of the rows of a sender."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from htga_client.sender.delivery import Delivery
from htga_client.sender.queue import RowQueue
from htga_client.sender.spool_writer import SpoolWriter
from htga_client.spool.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderStats:
    """Counts at one moment; `logged == acked + queued + sum(dropped.values())` always.

    Attributes:
        logged: Rows handed over.
        acked: Rows that the collector has stored.
        queued: Rows on their way, in memory or on disk.
        dropped: Rows given up, by reason: "queue_full", they came faster than they could be
            written; "spool_full", there was no room for the oldest; "corrupt", they could not be
            read back; "callable", making the row failed; "invalid", not a row of telemetry;
            "refused" by the collector, and kept as a dead letter; "closed", handed over after the
            end, or lost with the memory at it.
        retries: Requests that were repeated.
        reached: Whether the collector has ever answered.
    """

    logged: int = 0
    acked: int = 0
    queued: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    reached: bool = False

    @classmethod
    def snapshot(
        cls, queue: RowQueue, writer: SpoolWriter, spool: Spool, delivery: Delivery | None
    ) -> Self:
        """Add up what the parts of a sender have counted.

        This takes no lock of the spool, whose owner may be waiting for a disk.

        Args:
            queue, writer, spool: The sender's.
            delivery: The sender's, if it has a collector.
        """
        waiting, spooled = queue.waiting, spool.end
        counts = Counter(delivery.counts) if delivery else Counter[str]()
        lost = Counter(spool.lost)
        queued = waiting + max(0, spooled - counts.total() - lost.total())
        acked = counts.pop("acked", 0)
        dropped = +(counts + Counter(queue.dropped) + Counter(writer.dropped) + lost)
        return cls(
            logged=acked + queued + dropped.total(),
            acked=acked,
            queued=queued,
            dropped=dict(dropped),
            retries=delivery.retrier.retries if delivery else 0,
            reached=delivery is not None and delivery.retrier.reached,
        )
