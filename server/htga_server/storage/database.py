"""A database with one serialized writer and concurrent snapshot readers."""

from __future__ import annotations

import asyncio
import contextlib
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
from htga_server.storage.collector_lock import CollectorLock
from htga_server.storage.schema_owner import refuse_foreign_tables
from htga_server.storage.wal import WalGuard
from htga_server.storage.write_queue import Job, execute_jobs, single

S = TypeVar("S")
T = TypeVar("T")
Dialect = Literal["sqlite", "postgresql"]

MAX_BATCH = 64
"""Writes that share one commit."""
LAST_READS_SECONDS = 2.0
"""How long `close` waits for running reads."""
RETRY_DELAYS = (0.05, 0.2)
TRANSIENT = ("40001", "40P01", "57P01", "57P02", "57P03", "08")
"""Postgres SQLSTATEs, or their prefixes, after which the same transaction may succeed."""


class Database:
    """All writes go through one thread; reads run beside it.

    SQLite wants a single writer (before version 3.51.3, several connections that write and
    checkpoint at once corrupt its log), and it keeps transactions simple on Postgres, too.

    Attributes:
        observe: Called with the seconds that each commit took.

    Args:
        url: SQLAlchemy URL, `sqlite:///path` or `postgresql+psycopg://...`.
        most_waiting: Writes that may wait; those beyond are refused as busy.

    Raises:
        ValueError: The URL names another kind of database, or SQLite in memory.
    """

    def __init__(self, url: str, *, max_waiting: int = 256) -> None:
        self.url = engines.parse_url(url)
        kind = self.url.get_backend_name()
        self.dialect = cast("Dialect", kind)
        self._wal: WalGuard | None = None
        self._lock: CollectorLock | None = None
        if self.dialect == "sqlite":
            if not self.url.database or self.url.database == ":memory:":
                raise ValueError(
                    "database_url (--db, HTGA_DATABASE_URL) must name a file, such as"
                    " sqlite:///htga.db, got SQLite in memory"
                )
            file = Path(self.url.database)
            file.parent.mkdir(0o700, parents=True, exist_ok=True)
            if not file.exists():
                # Its log gets the same rights. A user who can read it needs no token.
                file.touch(0o600)
            own = file.resolve()  # beside the file, not beside a link to it
            self._wal, self._lock = WalGuard(own), CollectorLock(own)
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
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._readers = 0

    def claim(self) -> None:
        """Take the database for this collector, until `close`; several may share a Postgres.

        Raises:
            ValueError: Another collector uses the SQLite file; the message says which.
        """
        if self._lock is not None:
            self._lock.acquire()

    def check(self) -> None:
        """Refuse a database that would lose acknowledged rows.

        Raises:
            ValueError: It is damaged, has another program's tables, or is set up to forget commits
                at a power cut; the message says what to do.
        """
        if self._wal is not None:
            self._wal.check()
            with contextlib.suppress(sa.exc.DatabaseError):  # said below
                self.read_now(refuse_foreign_tables)
            engines.check_sqlite(self._writing, Path(self.url.database or ""))
            return
        with self._writing.connect() as connection:
            refuse_foreign_tables(connection)
            engines.check_postgres(connection)

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction on the write thread; return after the commit.

        Writes that wait at the same time share one commit. `work` may run more than once; each
        earlier run has then been rolled back.

        Raises:
            Busy: Too many writes wait already.
        """
        return cast("T", await self._enqueue_and_wait(Job(single(work))))

    async def write_batched(
        self, work: Callable[[sa.Connection, Sequence[S]], list[T | ServerError]], item: S
    ) -> T:
        """Like `write`, but one call of `work` handles the items of all that wait with it.

        Raises:
            ServerError: The error that `work` returned for this item.
            Busy: Too many writes wait already.
        """
        return cast("T", await self._enqueue_and_wait(Job(work, item)))

    async def _enqueue_and_wait(self, job: Job) -> Any:
        if len(self._waiting) >= self._max_waiting:
            raise Busy(f"{len(self._waiting)} requests wait to be stored; try again")
        self._waiting.append(job)
        self._writer.submit(self._write_waiting)
        return await asyncio.wrap_future(job.done)

    @property
    def waiting(self) -> int:
        """The number of writes that wait."""
        return len(self._waiting)

    def size(self, connection: sa.Connection) -> int:
        """Return the size of the database in bytes."""
        if self.dialect == "postgresql":
            return connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0
        files = (Path(f"{self.url.database}{suffix}") for suffix in ("", "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` on one consistent snapshot, in a thread."""
        return await run_in_threadpool(self.read_now, work)

    def write_now(self, work: Callable[[sa.Connection], T]) -> T:
        """Like `write`, on the calling thread."""
        for delay in (*RETRY_DELAYS, None):
            try:
                return self._transaction(work)
            except sa.exc.DBAPIError as error:
                self._drop_connections(error)
                if delay is None or not _is_transient(error):
                    raise
                time.sleep(delay)
        raise AssertionError("unreachable: the last try returns or raises")

    def read_now(self, work: Callable[[sa.Connection], T]) -> T:
        """Like `read`, on the calling thread."""
        with self._changed:
            self._readers += 1
        try:
            with self._reading.begin() as connection:
                return work(connection)
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    def _write_waiting(self) -> None:
        """Commit the waiting writes in one transaction; if that fails, each in its own."""
        begin = time.perf_counter()
        jobs = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
        if len(jobs) > 1:
            try:
                self._transaction(partial(execute_jobs, jobs=jobs))
            except Exception as error:  # noqa: BLE001  the loop below finds out which job it was
                if isinstance(error, sa.exc.DBAPIError):
                    self._drop_connections(error)
            else:
                self.observe(time.perf_counter() - begin)
                for job in jobs:
                    job.resolve()
                return
        for job in jobs:
            try:
                self.write_now(partial(execute_jobs, jobs=[job]))
            except Exception as error:  # noqa: BLE001  the caller handles it
                job.result = error
            self.observe(time.perf_counter() - begin)
            job.resolve()

    def _transaction(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` and commit it to files that will exist at the next start."""
        with self._writing.begin() as connection:
            result = work(connection)
        if self._wal is not None and self._wal.was_replaced():
            self._wal.checkpoint(self._writing)
            self._reopen()
            self._reading.dispose()  # these connections read the deleted files, too
            with self._writing.begin():  # creates a new log for the guard to watch
                pass
        return result

    def _drop_connections(self, error: sa.exc.DBAPIError) -> None:
        """Open new connections after an error that a statement of ours did not cause."""
        if isinstance(error, (sa.exc.OperationalError, sa.exc.InternalError)):
            self._reopen()

    def _reopen(self) -> None:
        self._writing.dispose()
        if self._wal is not None:
            self._wal.reset()

    def close(self) -> None:
        """Finish waiting writes and short reads, then close every connection."""
        self._writer.shutdown(wait=True)
        # A connection that is in use now would never be closed.
        with self._changed:
            self._changed.wait_for(lambda: self._readers == 0, LAST_READS_SECONDS)
        self._reading.dispose()
        self._writing.dispose()
        if self._lock is not None:
            self._lock.release()


def _is_transient(error: sa.exc.DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or state.startswith(TRANSIENT)
