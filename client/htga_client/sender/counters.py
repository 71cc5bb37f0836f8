"""What became of every row."""

from __future__ import annotations

from collections import Counter

from htga_client.sender.queue import Intake
from htga_client.sender.spool_writer import Writer
from htga_client.sender.uploader import Courier
from htga_client.spool.spool import Spool
from htga_client.stats import Stats


class Books:
    """Adds up what each part of a sender has counted.

    No lock is taken: whoever holds one may be waiting for a disk.

    Args:
        intake, writer, spool: Of the sender.
        courier: Its, if there is a collector.
    """

    def __init__(
        self, intake: Intake, writer: Writer, spool: Spool, courier: Courier | None
    ) -> None:
        self._intake = intake
        self._writer = writer
        self._spool = spool
        self._courier = courier

    @property
    def dropped(self) -> Counter[str]:
        """Rows given up, by reason."""
        books = [self._intake.dropped, self._writer.dropped, self._spool.lost]
        dropped = sum((Counter(book) for book in books), Counter[str]())
        if self._courier:
            dropped["refused"] = self._courier.counts["refused"]
        return +dropped

    @property
    def stats(self) -> Stats:
        """All of it, as of now."""
        courier, waiting, spooled = self._courier, self._intake.waiting, self._spool.end
        counts = courier.counts if courier else Counter[str]()
        gone = counts.total() + self._spool.lost.total()
        queued, dropped = waiting + max(0, spooled - gone), self.dropped
        return Stats(
            logged=counts["acked"] + queued + dropped.total(),
            acked=counts["acked"],
            queued=queued,
            dropped=dict(dropped),
            retries=courier.delivery.persistence.retries if courier else 0,
            reached=courier is not None and courier.delivery.persistence.reached,
        )
