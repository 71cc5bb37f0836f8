"""A stretch of a writer's rows, in frames, on one file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from htga_client.spool import frame
from htga_client.spool.backing import Medium
from htga_client.spool.frame import Frame

MAGIC = b"HTGASPL1"
_WINDOW = 256 << 10


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows to be sent in one request.

    Attributes:
        first: The writer's number of the first row.
        batches: The rows, all of one schema.
    """

    first: int
    batches: tuple[pa.RecordBatch, ...]

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(batch.num_rows for batch in self.batches)

    @property
    def end(self) -> int:
        """Number of the row after the last."""
        return self.first + self.rows


class Segment:
    """Rows that follow one another without a gap; used under its spool's lock.

    Args:
        medium: Where the bytes lie: nothing yet, or what `recover` has read.
        first: Number of the first row.

    Attributes:
        first, end: Numbers of the first row and of the one after the last.
        since: When it was begun, on the monotonic clock.
        sealed: Whether it takes no more rows.
    """

    def __init__(self, medium: Medium, first: int) -> None:
        self.medium = medium
        self.first = self.end = first
        self.since = time.monotonic()
        self.sealed = False
        self._schema: pa.Schema | None = None
        self._cursor = (first, len(MAGIC))  # a row, and where its frame begins

    @classmethod
    def recover(cls, medium: Medium) -> tuple[Segment, bool]:
        """What can be read of a segment of a process that is gone, and whether that is all of it.

        It ends before the first damage. A torn last frame is how a killed process leaves it.
        """
        segment = cls(medium, 0)
        segment.sealed = True
        at = len(MAGIC)
        if medium.read(0, at) != MAGIC:
            return segment, medium.size == 0
        for behind, found in segment._frames(at):
            if not segment._accept(found):
                break
            at = behind
        segment._cursor = (segment.first, len(MAGIC))
        return segment, at == medium.size

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return self.end - self.first

    def append(self, batch: pa.RecordBatch) -> None:
        """Write rows behind the others.

        Raises:
            OSError: They could not be written; nothing of them is left behind.
            ValueError: They are too many for a frame.
        """
        data = frame.pack(Frame(self.end, batch.num_rows, batch.serialize().to_pybytes()))
        if self._schema is None:
            schema = frame.pack(Frame(self.end, 0, batch.schema.serialize().to_pybytes()))
            data = b"".join((MAGIC, schema, data))
        self.medium.write(data)
        self._schema = batch.schema
        self.end += batch.num_rows

    def read(self, seq: int, *, rows: int, size: int) -> Chunk | None:
        """The rows from number `seq` on, in whole frames, up to about so many rows and bytes.

        Returns None where the bytes turn out to be damaged; the segment then ends there.
        """
        start = self._cursor if self._cursor[0] <= seq else (self.first, len(MAGIC))
        batches: list[pa.RecordBatch] = []
        for behind, found in self._frames(start[1]):
            if found.end > seq and found.rows:
                batch = self._batch(found)
                if batch is None:
                    break
                part = batch.slice(max(0, seq - found.first), rows)
                batches.append(part)
                rows -= part.num_rows
                size -= len(found.payload)
                if max(seq, found.first) + part.num_rows < found.end:
                    break  # the rest of this frame is for another time
            start = (found.end, behind)
            if rows <= 0 or size <= 0:
                break
        self._cursor = start
        if not batches:
            self.end = min(self.end, max(start[0], self.first))
            self.sealed = True
            return None
        return Chunk(seq, tuple(batches))

    def move(self, medium: Medium) -> None:
        """Write everything to another medium and go on there.

        Raises:
            OSError: That could not be written; nothing is changed.
        """
        medium.write(self.medium.read(0, self.medium.size))
        self.medium = medium

    def _frames(self, at: int) -> Iterator[tuple[int, Frame]]:
        """Frames from a position on, each with where it ends; stops at damage."""
        base, data = at, memoryview(b"")
        while at < self.medium.size:
            found = frame.unpack(data, at - base)
            if found is None:  # not in the window, or damaged
                says = frame.length(memoryview(self.medium.read(at, frame.HEAD)), 0)
                base, data = at, memoryview(self.medium.read(at, max(_WINDOW, says)))
                found = frame.unpack(data, 0)
                if found is None:
                    return
            at += frame.length(data, at - base)
            yield at, found

    def _accept(self, found: Frame) -> bool:
        """Take in a frame that is recovered; False if it does not follow the others."""
        if found.rows:
            follows = self._schema is not None and found.first == self.end
            self.end = found.end if follows else self.end
            return follows
        try:
            schema = pa.ipc.read_schema(pa.py_buffer(found.payload))
        except (pa.ArrowException, OSError):
            return False
        if self._schema is not None:
            return False
        self._schema = schema
        self.first = self.end = found.first
        return True

    def _batch(self, found: Frame) -> pa.RecordBatch | None:
        try:
            batch = pa.ipc.read_record_batch(pa.py_buffer(found.payload), self._schema)
            batch.validate(full=True)
        except (pa.ArrowException, OSError):
            return None
        return batch if batch.num_rows == found.rows else None
