"""Decide by sequence numbers which rows of a request are new."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from htga_client.wire import Receipt
from htga_server.ingest.decode import Batch
from htga_server.ingest.left_out import LeftOutParts, listed
from htga_server.ingest.prepare import Checked
from htga_server.problems import Conflict
from htga_server.runs import writers
from htga_server.runs.lookup import check_writable
from htga_server.runs.writers import Writer
from htga_server.storage import bulk
from htga_server.storage.tables import gaps
from htga_server.storage.tables import writers as table

# Built once, because building a statement takes longer than executing it.
_SAVE = (
    sa.update(table)
    .where(table.c.run_key == sa.bindparam("key"), table.c.writer == sa.bindparam("own"))
    .values({name: sa.bindparam(name) for name in ("next_seq", "batch_first", "batch_digest")})
)


@dataclass(slots=True)
class SequencedBatch:
    """A batch that may be stored.

    Attributes:
        run: The run's row, which is locked.
        writer: The writer; None if it is new, or if the rows are not numbered.
        expected: The sequence number after all rows that are stored or declared as lost.
        lost: Ranges [first, end) of expected numbers that the writer declares as lost.
        skipped: The number of leading rows that are stored already.
        left_out: Parts of the rows that are not stored.
    """

    run: sa.Row[Any]
    batch: Batch
    checked: Checked
    writer: Writer | None
    expected: int
    lost: list[tuple[int, int]]
    skipped: int
    left_out: LeftOutParts

    @property
    def accepted(self) -> int:
        """The number of rows that are stored now."""
        return self.checked.sent - self.skipped - len(self._rejected)

    @property
    def next_seq(self) -> int:
        """The sequence number that the writer must send next."""
        return max(self.batch.first_seq + self.checked.sent, self.expected)

    @property
    def receipt(self) -> Receipt:
        """The receipt for the writer."""
        return Receipt(
            accepted=self.accepted,
            duplicates=self.skipped,
            rejected=self._rejected,
            next_seq=None if self.batch.writer is None else self.next_seq,
            left_out=listed(self.left_out),
        )

    @property
    def _rejected(self) -> tuple[Any, ...]:
        return tuple(one for one in self.checked.rejected if one.row >= self.skipped)

    def attempt(self, connection: sa.Connection, max_writers: int) -> int:
        """Return the attempt of the rows, and make the writer known if it is new."""
        if self.writer is None and self.batch.writer is not None:
            key = self.run.run_key
            self.writer = writers.get_or_add(connection, key, self.batch.writer, limit=max_writers)
            if self.writer is None:  # another request of this transaction took the last place
                self.batch = without_numbers(self.batch)
                self.left_out["writer", "", writers.no_more(max_writers)] += self.checked.sent
        return int(self.run.attempt) if self.writer is None else self.writer.attempt


def without_numbers(batch: Batch) -> Batch:
    """Return the batch of a writer that its run has no place for."""
    return replace(batch, writer=None, first_seq=0, gaps=())


def check_sequence(
    run_id: str,
    run: sa.Row[Any] | None,
    batch: Batch,
    checked: Checked,
    known: Mapping[tuple[int, str], Writer],
) -> SequencedBatch:
    """Check the numbers of a batch against those that its run expects.

    Args:
        run: The run's row, or None if it does not exist.
        known: Writers by run and name.

    Raises:
        NotFound: No such run exists.
        Busy: It is being purged.
        Conflict: Rows before this batch are missing (the problem has `expected_seq`), or other
            rows were stored under these numbers, or the run was pruned.
    """
    run = check_writable(run, run_id)
    left_out = checked.left_out.copy()
    if batch.writer is None:
        writer = known.get((run.run_key, batch.attempt_of or ""))
        return SequencedBatch(run, batch, checked, writer, 0, [], 0, left_out)
    writer = known.get((run.run_key, batch.writer))
    expected, lost = _after_gaps(batch, 0 if writer is None else writer.next_seq)
    if batch.first_seq > expected:
        raise Conflict(
            f"rows {expected} to {batch.first_seq - 1} of this writer are missing",
            slug="sequence-gap",
            expected_seq=expected,
        )
    if writer is not None:
        _refuse_other_rows(writer, batch, checked)
    skipped = min(expected - batch.first_seq, checked.sent)
    return SequencedBatch(run, batch, checked, writer, expected, lost, skipped, left_out)


def save_sequences(connection: sa.Connection, batches: Sequence[SequencedBatch]) -> None:
    """Store the next number of each writer, and the ranges that it declares as lost."""
    moved = []
    lost: list[tuple[Any, ...]] = []
    for one in batches:
        key, own = one.run.run_key, one.batch.writer
        if one.writer is None or own is None:
            continue
        lost += [(key, own, first, end, time.time()) for first, end in one.lost]
        is_new = one.skipped < one.checked.sent
        if is_new or one.lost:
            moved.append(
                {
                    "key": key,
                    "own": own,
                    "next_seq": one.next_seq,
                    "batch_first": one.batch.first_seq if is_new else one.writer.batch_first,
                    "batch_digest": one.checked.digest if is_new else one.writer.batch_digest,
                }
            )
    bulk.upsert(connection, gaps, lost)
    if moved:
        connection.execute(_SAVE, moved)


def _after_gaps(batch: Batch, expected: int) -> tuple[int, list[tuple[int, int]]]:
    """Return the next expected number after skipping declared gaps, and the gaps skipped."""
    lost = []
    for first, end in sorted(batch.gaps):
        if first <= expected < end:
            lost.append((expected, end))
            expected = end
    return expected, lost


def _refuse_other_rows(writer: Writer, batch: Batch, checked: Checked) -> None:
    """Refuse other rows under stored numbers: two processes share the id of one writer."""
    again = batch.first_seq == writer.batch_first and checked.sent > 0
    if (
        again
        and batch.first_seq + checked.sent == writer.next_seq
        and bytes(writer.batch_digest or b"") != checked.digest
    ):
        raise Conflict(
            f"other rows were stored as {batch.first_seq} to {writer.next_seq - 1} of this writer;"
            " a writer's id must belong to one process",
            slug="sequence-conflict",
        )
