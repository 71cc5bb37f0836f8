"""One database: who may write to it when, and who reads meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool

from htga_server.problems import Busy, ServerError
from htga_server.storage import engines
from htga_server.storage.wal import Log
from htga_server.storage.write_queue import Job, alone, attempt

S = TypeVar("S")
T = TypeVar("T")
Dialect = Literal["sqlite", "postgresql"]

GROUP = 64
"""Most writes that share a commit."""
LAST_READS_SECONDS = 2.0
"""How long reads under way may take when the database is closed."""
RETRY_DELAYS = (0.05, 0.2)
PASSING = ("40001", "40P01", "57P01", "57P02", "57P03", "08")
"""SQLSTATEs of Postgres, or their beginnings, after which the same transaction may succeed."""


class Database:
    """One database: all writes go through one thread, reads run beside it.

    A single writer is what SQLite wants (several connections that write and checkpoint at once
    corrupt its log before version 3.51.3), and it makes transactions simple everywhere.

    Attributes:
        observe: Told how long each commit took, in seconds.

    Args:
        url: SQLAlchemy URL, `sqlite:///path` or `postgresql+psycopg://...`.
        most_waiting: Writes that may wait; those beyond are refused as busy.

    Raises:
        ValueError: The URL names another kind of database, or SQLite in memory.
    """

    def __init__(self, url: str, *, most_waiting: int = 256) -> None:
        self.url = sa.make_url(url)
        kind = self.url.get_backend_name()
        if kind not in {"sqlite", "postgresql"}:
            raise ValueError(f"database_url must be of SQLite or Postgres, got {kind!r}")
        self.dialect = cast("Dialect", kind)
        self._log: Log | None = None
        if self.dialect == "sqlite":
            if not self.url.database or self.url.database == ":memory:":
                raise ValueError("database_url must name a file, got SQLite in memory")
            file = Path(self.url.database)
            file.parent.mkdir(0o700, parents=True, exist_ok=True)
            if not file.exists():
                # Its log gets the same rights; whoever may read it needs no token.
                file.touch(0o600)
            self._log = Log(file.resolve())  # SQLite keeps it beside the file, not beside a link
            self._writing = engines.sqlite_writer(self.url)
            self._reading = engines.sqlite_reader(self.url)
        else:
            self._writing = engines.postgres(self.url, pool_size=1)
            self._reading = engines.postgres(
                self.url, pool_size=8, isolation_level="REPEATABLE READ"
            )
        self._writer = ThreadPoolExecutor(1, "htga-writer")
        self._waiting: deque[Job] = deque()
        self.observe: Callable[[float], None] = lambda _seconds: None
        self._most_waiting = most_waiting
        self._idle = threading.Condition()
        self._readers = 0

    def check(self) -> None:
        """Refuse a database that would lose what it acknowledged.

        Raises:
            ValueError: It is damaged, or set up to forget commits at a power cut; says what to do.
        """
        if self._log is not None:
            self._log.check()
            engines.check_sqlite(self._writing, Path(self.url.database or ""))
            return
        with self._writing.connect() as connection:
            engines.check_postgres(connection)

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction on the writer's thread; returns after the commit.

        What waits at the same time shares one commit. `work` may run more than once: whatever it
        did before has been rolled back then.

        Raises:
            Busy: Too much is waiting already.
        """
        return cast("T", await self._done(Job(alone(work))))

    async def write_together(
        self, work: Callable[[sa.Connection, Sequence[S]], list[T | ServerError]], item: S
    ) -> T:
        """`write`, with one call of `work` for the items of all that wait with the same work.

        Raises:
            ServerError: What `work` returned for this item.
            Busy: Too much is waiting already.
        """
        return cast("T", await self._done(Job(work, item)))

    async def _done(self, job: Job) -> Any:
        if len(self._waiting) >= self._most_waiting:
            raise Busy(f"{len(self._waiting)} requests wait to be stored; try again")
        self._waiting.append(job)
        self._writer.submit(self._write_waiting)
        return await asyncio.wrap_future(job.done)

    @property
    def waiting(self) -> int:
        """Number of writes that wait."""
        return len(self._waiting)

    def size(self, connection: sa.Connection) -> int:
        """Bytes of the database."""
        if self.dialect == "postgresql":
            return connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0
        files = (Path(f"{self.url.database}{suffix}") for suffix in ("", "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` on one consistent snapshot, in a thread."""
        return await run_in_threadpool(self.read_now, work)

    def write_now(self, work: Callable[[sa.Connection], T]) -> T:
        """`write`, on the calling thread."""
        for delay in (*RETRY_DELAYS, None):
            try:
                return self._transaction(work)
            except sa.exc.DBAPIError as error:
                self._mistrust(error)
                if delay is None or not _is_passing(error):
                    raise
                time.sleep(delay)
        raise AssertionError("the last try returns or raises")

    def read_now(self, work: Callable[[sa.Connection], T]) -> T:
        """`read`, on the calling thread."""
        with self._idle:
            self._readers += 1
        try:
            with self._reading.begin() as connection:
                return work(connection)
        finally:
            with self._idle:
                self._readers -= 1
                self._idle.notify_all()

    def _write_waiting(self) -> None:
        """Commit what waits, together; where that fails, one by one, so that each has its own end.

        A refusal undoes its own part only.
        """
        begin = time.perf_counter()
        jobs = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP))]
        if len(jobs) > 1:
            try:
                self._transaction(partial(attempt, jobs=jobs))
            except Exception as error:  # noqa: BLE001  whatever it was, the next lines find out whose
                if isinstance(error, sa.exc.DBAPIError):
                    self._mistrust(error)
            else:
                self.observe(time.perf_counter() - begin)
                for job in jobs:
                    job.tell()
                return
        for job in jobs:
            try:
                self.write_now(partial(attempt, jobs=[job]))
            except Exception as error:  # noqa: BLE001  it is its caller's to deal with
                job.result = error
            self.observe(time.perf_counter() - begin)
            job.tell()

    def _transaction(self, work: Callable[[sa.Connection], T]) -> T:
        """Do `work` and commit it to what will be there at the next start."""
        with self._writing.begin() as connection:
            result = work(connection)
        if self._log is not None and self._log.is_gone():
            self._log.rescue(self._writing)
            self._reopen()
            self._reading.dispose()  # they look into the deleted files, too
            with self._writing.begin():  # which makes a log anew, to be missed if it is deleted
                pass
        return result

    def _mistrust(self, error: sa.exc.DBAPIError) -> None:
        """Open new connections after an error that was not about what we asked for."""
        if isinstance(error, (sa.exc.OperationalError, sa.exc.InternalError)):
            self._reopen()

    def _reopen(self) -> None:
        self._writing.dispose()
        if self._log is not None:
            self._log.forget()

    def close(self) -> None:
        """Finish what is under way, of reads what ends soon, and close every connection."""
        self._writer.shutdown(wait=True)
        # A connection that is in use now would be nobody's to close.
        with self._idle:
            self._idle.wait_for(lambda: self._readers == 0, LAST_READS_SECONDS)
        self._reading.dispose()
        self._writing.dispose()


def _is_passing(error: sa.exc.DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or state.startswith(PASSING)
