"""Rows of one writer that wait for the collector, on disk if possible."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

import pyarrow as pa

from htga_client import wire
from htga_client.console import notify
from htga_client.spool.directory import SpoolDirectory
from htga_client.spool.disk_backoff import DiskBackoff
from htga_client.spool.segment import Chunk, Segment
from htga_client.spool.segment_file import DiskSegment, InMemorySegment, SegmentFile

DISK_LIMIT = 1 << 30
MEMORY_LIMIT = 32 << 20
CLOSE_TIMEOUT = 0.5


class Spool:
    """Numbered rows in segments; the oldest segment is dropped when there is no room.

    Rows keep their sequence numbers, so dropped rows are a gap that a reader can see. The segment
    that was read last may be on its way and is not dropped; otherwise its rows would count as lost
    and arrive all the same. While the disk takes no writes, rows are kept in memory. All methods
    are thread-safe.

    Args:
        make_directory: Makes the directory, when it is needed; None to use memory only.
        disk_limit, memory_limit: Maximum number of bytes on disk and in memory.
        segment_bytes: Size at which a new segment is begun.
        segment_seconds: Age at which a new segment is begun.

    Attributes:
        end: Sequence number of the next row.
        acked_seq: Sequence number of the first row that is not acknowledged. It never falls, and
            only `acknowledge` changes it.
        durable: Whether everything held would outlive this process.
        lost: Rows dropped, by reason: "spool_full"; "corrupt"; "closed" with the memory they were
            in.
    """

    def __init__(
        self,
        make_directory: Callable[[], SpoolDirectory] | None = None,
        *,
        disk_limit: int = DISK_LIMIT,
        memory_limit: int = MEMORY_LIMIT,
        segment_bytes: int = 8 << 20,
        segment_seconds: float = 60.0,
    ) -> None:
        self.end = self.acked_seq = 0
        self.durable = False
        self.lost: Counter[str] = Counter()
        self._left = 0  # rows on disk when `close` released them
        self._closed = False
        self._disk = DiskBackoff(make_directory)
        self._disk_limit = disk_limit
        self._memory_limit = memory_limit
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._segments: deque[Segment] = deque()
        self._on_its_way: Segment | None = None
        self._lock = threading.RLock()

    @classmethod
    def of(cls, directory: SpoolDirectory) -> Spool:
        """The spool of a directory that was taken over; it takes no more rows."""
        spool = cls()
        spool._disk.directory = directory
        paths = directory.segments()
        for path in paths:
            segment, whole = Segment.recover(DiskSegment(path))
            if not whole and path != paths[-1]:
                notify(f"{path} is damaged; what can be read is delivered", level=logging.WARNING)
            if segment.rows and segment.first >= spool.end:
                spool._segments.append(segment)
                spool.end = segment.end
        return spool

    @property
    def directory(self) -> SpoolDirectory | None:
        """The directory on disk, once there is one."""
        return self._disk.directory

    @property
    def begin(self) -> int:
        """Sequence number of the first row held, or of the next row if none is."""
        with self._lock:
            return self._segments[0].first if self._segments else self.end

    @property
    def held(self) -> int:
        """Number of rows held that are not acknowledged."""
        with self._lock:
            rows = (max(0, s.end - max(s.first, self.acked_seq)) for s in self._segments)
            return self._left + sum(rows)

    def open(self) -> None:
        """Make the directory now; if that fails, rows are kept in memory."""
        with self._lock, contextlib.suppress(OSError):
            self._disk.open()
        self._update_durable()

    def append(self, batch: pa.RecordBatch) -> None:
        """Append rows; the first one has number `end`.

        Raises:
            ValueError: One row alone is larger than a frame can be.
        """
        with self._lock:
            try:
                self._append(batch)
            except ValueError:
                if batch.num_rows < 2:
                    raise
                middle = batch.num_rows // 2
                self.append(batch.slice(0, middle))
                self.append(batch.slice(middle))

    def read(self, seq: int, *, rows: int, size: int) -> Chunk | None:
        """The first rows held from number `seq` on, up to about so many rows and bytes.

        Returns None if none are held, or none can be read; the latter are counted as lost.
        """
        with self._lock:
            for segment in tuple(self._segments):
                if segment.end <= seq:
                    continue
                end = segment.end
                with contextlib.suppress(OSError):
                    chunk = segment.read(max(seq, segment.first), rows=rows, size=size)
                    if chunk is not None:
                        self._on_its_way = segment
                        return chunk
                segment.end = max(segment.first, min(segment.end, seq))
                self.lost["corrupt"] += end - max(segment.end, self.acked_seq)
            return None

    def save_finish(self, finish: wire.Finish) -> None:
        """Keep how the run ended beside its rows.

        Raises:
            OSError: The disk takes no writes.
        """
        with self._lock:
            if self.directory is not None:
                self.directory.save_finish(finish)

    def acknowledge(self, first: int, end: int) -> int:
        """Note that rows are stored, or given up; segments with no other rows are deleted.

        Args:
            first, end: Sequence numbers of the first of the rows and after the last.

        Returns:
            How many of the rows were not acknowledged before; 0 once the spool is closed.
        """
        with self._lock:
            if self._closed:
                return 0
            fresh = max(0, end - max(first, self.acked_seq))
            self.acked_seq = max(self.acked_seq, end)
            self._trim()
            return fresh

    def sync(self) -> None:
        """Return once all rows appended so far would outlive a power cut, if the disk is honest."""
        with self._lock:
            pending = [(s, sync) for s in self._segments if (sync := s.file.prepare_sync())]
        for segment, sync in pending:
            try:
                sync()
            except OSError as error:
                # The kernel forgets that these pages were never written: nothing more goes there.
                segment.sealed = True
                self._disk.warn_once(error)
        with self._lock:
            for segment in self._segments:
                if segment.sealed:
                    segment.file.close()

    def close(self) -> None:
        """Hold no more: rows on disk stay there, for another process to take over; others are lost.

        A disk that hangs is left alone: the system closes the files when the process ends.
        """
        if not self._lock.acquire(timeout=CLOSE_TIMEOUT):
            return
        try:
            self._closed = True
            while self._segments:
                segment = self._segments.pop()
                segment.file.close()
                unacked = max(0, segment.end - max(segment.first, self.acked_seq))
                if segment.file.durable:
                    self._left += unacked
                else:
                    self.lost["closed"] += unacked
            if self.directory is not None:
                self.directory.release()
        finally:
            self._lock.release()

    def remove(self) -> None:
        """Delete everything."""
        with self._lock:
            while self._segments:
                self._remove(self._segments.pop())
            if self.directory is not None:
                self.directory.remove()

    def abandon(self) -> None:
        """Close what a forked child has inherited, without the lock, which may be held for ever."""
        for segment in tuple(self._segments):
            segment.file.close()
        if self.directory is not None:
            self.directory.release()

    def _append(self, batch: pa.RecordBatch) -> None:
        segment = self._current()
        try:
            segment.append(batch)
        except OSError as error:
            self._disk.failed(error)
            segment.sealed = True
            if not segment.rows:
                self._remove(self._segments.pop())
            segment = self._begin(InMemorySegment())
            segment.append(batch)
        self.end = segment.end
        self._shrink()
        self._update_durable()

    def _update_durable(self) -> None:
        waiting = [segment for segment in self._segments if segment.end > self.acked_seq]
        self.durable = self.directory is not None and all(s.file.durable for s in waiting)

    def _current(self) -> Segment:
        """The segment that takes the next rows."""
        last = self._segments[-1] if self._segments else None
        may_write = self._disk.may_retry
        if last is not None and not last.sealed:
            limit = self._disk_limit if last.file.durable else self._memory_limit
            full = last.file.size >= min(self._segment_bytes, limit // 8)
            old = time.monotonic() - last.since >= self._segment_seconds
            if not (full or old or (may_write and not last.file.durable)):
                return last
            last.sealed = True
            self._trim()
        if may_write:
            try:
                self._save()
                return self._begin(self._disk.create(self.end))
            except OSError as error:
                self._disk.failed(error)
        return self._begin(InMemorySegment())

    def _begin(self, file: SegmentFile) -> Segment:
        self._segments.append(Segment(file, self.end))
        return self._segments[-1]

    def _save(self) -> None:
        """Move the rows in memory to the disk.

        Raises:
            OSError: The disk takes no writes.
        """
        for segment in self._segments:
            if not segment.file.durable and segment.end > self.acked_seq:
                file = self._disk.create(segment.first)
                try:
                    segment.move(file)
                except OSError:
                    file.remove()
                    raise
                file.close()

    def _shrink(self) -> None:
        """Drop the oldest segments until the rest fits into the limits."""
        while True:
            on_disk = sum(s.file.size for s in self._segments if s.file.durable)
            in_memory = sum(s.file.size for s in self._segments if not s.file.durable)
            if on_disk <= self._disk_limit and in_memory <= self._memory_limit:
                return
            droppable = (s for s in self._segments if s is not self._on_its_way)
            oldest = next(droppable, self._segments[-1])
            if oldest is self._segments[-1]:
                return
            self._segments.remove(oldest)
            lost = max(0, oldest.end - max(oldest.first, self.acked_seq))
            self.lost["spool_full"] += lost
            if lost and self.lost["spool_full"] == lost:
                warning = f"no room for more rows: the oldest {lost} are dropped"
                notify(warning, level=logging.WARNING)
            self._remove(oldest)
            if oldest.file.durable and in_memory > self._memory_limit:
                with contextlib.suppress(OSError):
                    self._save()  # there is room on the disk now

    def _trim(self) -> None:
        """Delete the segments whose rows are all acknowledged, but never the last one."""
        while len(self._segments) > 1 and self._segments[0].end <= self.acked_seq:
            self._remove(self._segments.popleft())
        self._update_durable()

    def _remove(self, segment: Segment) -> None:
        with contextlib.suppress(OSError):
            segment.file.remove()
