"""Consecutive rows of one writer, in frames, in one file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from htga_client.spool import frame
from htga_client.spool.frame import Frame
from htga_client.spool.segment_file import SegmentFile

MAGIC = b"HTGASPL1"
READ_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows to be sent in one request.

    Attributes:
        first: Sequence number of the first row.
        batches: The rows, all of one schema.
    """

    first: int
    batches: tuple[pa.RecordBatch, ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(batch.num_rows for batch in self.batches)

    @property
    def end(self) -> int:
        """Sequence number after the last row."""
        return self.first + self.rows


class Segment:
    """Rows that follow one another without a gap; used under its spool's lock.

    Args:
        file: Holds the bytes: none yet, or what `recover` has read.
        first: Sequence number of the first row.

    Attributes:
        file: As given, or what `move` has put in its place.
        first, end: Sequence numbers of the first row and after the last.
        since: When the segment was begun, on the monotonic clock.
        sealed: Whether it takes no more rows.
    """

    def __init__(self, file: SegmentFile, first: int) -> None:
        self.file = file
        self.first = self.end = first
        self.since = time.monotonic()
        self.sealed = False
        self._schema: pa.Schema | None = None
        self._cursor = (first, len(MAGIC))  # a row, and the position of its frame

    @classmethod
    def recover(cls, file: SegmentFile) -> tuple[Segment, bool]:
        """Read the segment of a dead process; also returns whether all of it can be read.

        The segment ends before the first damage. A killed process may leave a torn last frame.
        """
        segment = cls(file, 0)
        segment.sealed = True
        at = len(MAGIC)
        if file.read(0, at) != MAGIC:
            return segment, file.size == 0
        for behind, found in segment._frames(at):
            if not segment._accept(found):
                break
            at = behind
        segment._cursor = (segment.first, len(MAGIC))
        return segment, at == file.size

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.end - self.first

    def append(self, batch: pa.RecordBatch) -> None:
        """Write rows behind the others.

        Raises:
            OSError: The rows could not be written; no part of them is left in the file.
            ValueError: The rows are too large for a frame.
        """
        data = frame.pack(Frame(self.end, batch.num_rows, batch.serialize().to_pybytes()))
        if self._schema is None:
            schema = frame.pack(Frame(self.end, 0, batch.schema.serialize().to_pybytes()))
            data = b"".join((MAGIC, schema, data))
        self.file.write(data)
        self._schema = batch.schema
        self.end += batch.num_rows

    def read(self, seq: int, *, rows: int, size: int) -> Chunk | None:
        """Read the rows from number `seq` on, whole frames of them.

        Returns None if the bytes turn out to be damaged; the segment then ends there.

        Args:
            seq: Sequence number of the first row.
            rows, size: Stop after about so many rows or bytes.
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
                    break  # the next call reads the rest of this frame
            start = (found.end, behind)
            if rows <= 0 or size <= 0:
                break
        self._cursor = start
        if not batches:
            self.end = min(self.end, max(start[0], self.first))
            self.sealed = True
            return None
        return Chunk(seq, tuple(batches))

    def move(self, file: SegmentFile) -> None:
        """Copy everything to another file and go on there.

        Raises:
            OSError: The other file cannot be written; nothing is changed.
        """
        file.write(self.file.read(0, self.file.size))
        self.file = file

    def _frames(self, at: int) -> Iterator[tuple[int, Frame]]:
        """Frames from a position on, each with the position of its end; stops at damage."""
        base, data = at, memoryview(b"")
        while at < self.file.size:
            found = frame.unpack(data, at - base)
            if found is None:  # not all of it was read yet, or it is damaged
                size = frame.length(memoryview(self.file.read(at, frame.HEADER_BYTES)), 0)
                base, data = at, memoryview(self.file.read(at, max(READ_BYTES, size)))
                found = frame.unpack(data, 0)
                if found is None:
                    return
            at += frame.length(data, at - base)
            yield at, found

    def _accept(self, found: Frame) -> bool:
        """Take in a recovered frame; False if it does not follow the one before."""
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
