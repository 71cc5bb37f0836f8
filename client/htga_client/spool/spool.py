"""Rows of one writer that wait for the collector, on disk where that is possible."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

import pyarrow as pa

from htga_client import wire
from htga_client.console import say
from htga_client.spool.backing import File, Medium, Memory
from htga_client.spool.disk import Disk
from htga_client.spool.lease import Claim
from htga_client.spool.segment import Chunk, Segment

DISK_LIMIT = 1 << 30
MEMORY_LIMIT = 32 << 20
CLOSE_PATIENCE = 0.5


class Spool:
    """Numbered rows in segments, of which the oldest goes when there is no room.

    A row has its number by its place, so what was dropped is a gap that a reader can see. What
    was read last may be on its way and is not dropped, or it would be counted as lost and arrive.
    Where the disk takes nothing, rows are kept in memory until it does. Any thread may call
    anything.

    Args:
        claim: Gives the folder, once it is needed; None to use memory only.
        disk_limit, memory_limit: Bytes that may be used of each.
        segment_bytes: Size at which a new segment is begun.
        segment_seconds: Age at which a new segment is begun.

    Attributes:
        end: Number of the next row.
        durable: Whether everything held would outlive this process.
        lost: Rows dropped, by reason: "spool_full"; "corrupt"; "closed" with the memory they were
            in.
    """

    def __init__(
        self,
        claim: Callable[[], Claim] | None = None,
        *,
        disk_limit: int = DISK_LIMIT,
        memory_limit: int = MEMORY_LIMIT,
        segment_bytes: int = 8 << 20,
        segment_seconds: float = 60.0,
    ) -> None:
        self.end = 0
        self.durable = False
        self.lost: Counter[str] = Counter()
        self._left = 0  # rows on disk that `close` has left there
        self._disk = Disk(claim)
        self._disk_limit = disk_limit
        self._memory_limit = memory_limit
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._segments: deque[Segment] = deque()
        self._on_its_way: Segment | None = None
        self._settled = 0
        self._lock = threading.RLock()

    @classmethod
    def of(cls, claim: Claim) -> Spool:
        """What an adopted folder holds; it takes no more rows."""
        spool = cls()
        spool._disk.claim = claim
        paths = claim.segments()
        for path in paths:
            segment, whole = Segment.recover(File(path))
            if not whole and path != paths[-1]:
                say(f"{path} is damaged; what can be read is delivered", level=logging.WARNING)
            if segment.rows and segment.first >= spool.end:
                spool._segments.append(segment)
                spool.end = segment.end
        return spool

    @property
    def claim(self) -> Claim | None:
        """The folder on disk, once there is one."""
        return self._disk.claim

    @property
    def begin(self) -> int:
        """Number of the first row that is held, or the next one's."""
        with self._lock:
            return self._segments[0].first if self._segments else self.end

    @property
    def held(self) -> int:
        """Rows held that are not settled."""
        with self._lock:
            rows = (max(0, s.end - max(s.first, self._settled)) for s in self._segments)
            return self._left + sum(rows)

    def open(self) -> None:
        """Make the folder now; where that fails, rows will be kept in memory."""
        with self._lock, contextlib.suppress(OSError):
            self._disk.open()
        self._look()

    def append(self, batch: pa.RecordBatch) -> None:
        """Take in rows.

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
        """The first rows held from number `seq` on, up to about so many rows and bytes."""
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
                self.lost["corrupt"] += end - max(segment.end, self._settled)
            return None

    def say_finish(self, finish: wire.Finish) -> None:
        """Keep how the run ended beside its rows.

        Raises:
            OSError: It cannot be written.
        """
        with self._lock:
            if self.claim is not None:
                self.claim.say_finish(finish)

    def settle(self, seq: int) -> None:
        """Let go of the rows before number `seq`; segments of them alone are deleted."""
        with self._lock:
            self._settled = max(self._settled, seq)
            while len(self._segments) > 1 and self._segments[0].end <= self._settled:
                self._remove(self._segments.popleft())
            self._look()

    def sync(self) -> None:
        """Return when what was appended before outlives a power cut, as far as the disk says."""
        with self._lock:
            pending = [(s, sync) for s in self._segments if (sync := s.medium.syncing())]
        for segment, sync in pending:
            try:
                sync()
            except OSError as error:
                # The kernel forgets that these pages were never written: nothing more goes there.
                segment.sealed = True
                self._disk.tell(error)
        with self._lock:
            for segment in self._segments:
                if segment.sealed:
                    segment.medium.close()

    def close(self) -> None:
        """Hold no more: what is on disk stays there, free to be adopted; the rest is lost.

        A disk that hangs is left alone: the system closes what is open when the process ends.
        """
        if not self._lock.acquire(timeout=CLOSE_PATIENCE):
            return
        try:
            while self._segments:
                segment = self._segments.pop()
                segment.medium.close()
                unsettled = max(0, segment.end - max(segment.first, self._settled))
                if segment.medium.durable:
                    self._left += unsettled
                else:
                    self.lost["closed"] += unsettled
            if self.claim is not None:
                self.claim.release()
        finally:
            self._lock.release()

    def remove(self) -> None:
        """Throw everything away."""
        with self._lock:
            while self._segments:
                self._remove(self._segments.pop())
            if self.claim is not None:
                self.claim.remove()

    def abandon(self) -> None:
        """Close what a forked child has inherited, without its lock, which may be held for ever."""
        for segment in tuple(self._segments):
            segment.medium.close()
        if self.claim is not None:
            self.claim.release()

    def _append(self, batch: pa.RecordBatch) -> None:
        segment = self._current()
        try:
            segment.append(batch)
        except OSError as error:
            self._disk.refused(error)
            segment.sealed = True
            if not segment.rows:
                self._remove(self._segments.pop())
            segment = self._begin(Memory())
            segment.append(batch)
        self.end = segment.end
        self._shrink()
        self._look()

    def _look(self) -> None:
        waiting = [segment for segment in self._segments if segment.end > self._settled]
        self.durable = self.claim is not None and all(s.medium.durable for s in waiting)

    def _current(self) -> Segment:
        """The segment that takes the next rows."""
        last = self._segments[-1] if self._segments else None
        may_write = self._disk.is_worth_a_try
        if last is not None and not last.sealed:
            limit = self._disk_limit if last.medium.durable else self._memory_limit
            full = last.medium.size >= min(self._segment_bytes, limit // 8)
            old = time.monotonic() - last.since >= self._segment_seconds
            if not (full or old or (may_write and not last.medium.durable)):
                return last
            last.sealed = True
            self.settle(self._settled)
        if may_write:
            try:
                self._save()
                return self._begin(self._disk.create(self.end))
            except OSError as error:
                self._disk.refused(error)
        return self._begin(Memory())

    def _begin(self, medium: Medium) -> Segment:
        self._segments.append(Segment(medium, self.end))
        return self._segments[-1]

    def _save(self) -> None:
        """Move what memory holds to the disk.

        Raises:
            OSError: The disk refuses.
        """
        for segment in self._segments:
            if not segment.medium.durable and segment.end > self._settled:
                file = self._disk.create(segment.first)
                try:
                    segment.move(file)
                except OSError:
                    file.remove()
                    raise
                file.close()

    def _shrink(self) -> None:
        """Drop the oldest segments until what is held fits."""
        while True:
            on_disk = sum(s.medium.size for s in self._segments if s.medium.durable)
            in_memory = sum(s.medium.size for s in self._segments if not s.medium.durable)
            if on_disk <= self._disk_limit and in_memory <= self._memory_limit:
                return
            droppable = (s for s in self._segments if s is not self._on_its_way)
            oldest = next(droppable, self._segments[-1])
            if oldest is self._segments[-1]:
                return
            self._segments.remove(oldest)
            lost = max(0, oldest.end - max(oldest.first, self._settled))
            self.lost["spool_full"] += lost
            if lost and self.lost["spool_full"] == lost:
                say(f"no room for more rows: the oldest {lost} are dropped", level=logging.WARNING)
            self._remove(oldest)
            if oldest.medium.durable and in_memory > self._memory_limit:
                with contextlib.suppress(OSError):
                    self._save()  # there is room on the disk now

    def _remove(self, segment: Segment) -> None:
        with contextlib.suppress(OSError):
            segment.medium.remove()
