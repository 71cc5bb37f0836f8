"""Connections. The only module that opens one, and the only one that knows which database it is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from starlette.concurrency import run_in_threadpool

T = TypeVar("T")

SQLITE_PRAGMAS = (
    # An acknowledged row must outlive a power cut: WAL with synchronous=NORMAL loses the last ones.
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=5000",
    "PRAGMA journal_size_limit=67108864",
)


def migrations() -> Path:
    """Folder of the Alembic environment: inside an installed package, at the root of a clone."""
    installed = Path(__file__).parent / "migrations"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "migrations"


class Database:
    """One database: all writes go through one thread, reads run beside it.

    A single writer is what SQLite wants (several connections that write and checkpoint at once
    corrupt its log before version 3.51.3), and it makes transactions simple everywhere.

    Args:
        url: SQLAlchemy URL, `sqlite:///path` or `postgresql+psycopg://...`.

    Raises:
        ValueError: The URL names another kind of database, or SQLite in memory.
    """

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        self.dialect = self.url.get_backend_name()
        if self.dialect not in {"sqlite", "postgresql"}:
            raise ValueError(f"database_url must be of SQLite or Postgres, got {self.dialect!r}")
        if self.dialect == "sqlite":
            if not self.url.database or self.url.database == ":memory:":
                raise ValueError("database_url must name a file, got SQLite in memory")
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            self._writing = _sqlite_writer(self.url)
            self._reading = _sqlite_reader(self.url)
        else:
            self._writing = sa.create_engine(self.url, pool_size=1, pool_pre_ping=True)
            self._reading = sa.create_engine(
                self.url, pool_size=8, pool_pre_ping=True, isolation_level="REPEATABLE READ"
            )
        self._writer = ThreadPoolExecutor(1, "htga-writer")

    def upgrade(self) -> None:
        """Bring the schema to the newest revision; nothing happens if it is there."""
        config = Config(toml_file=None)
        config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
        with self._writing.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction on the writer's thread; returns after the commit."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, self.write_now, work)

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` on one consistent snapshot, in a thread."""
        return await run_in_threadpool(self.read_now, work)

    def write_now(self, work: Callable[[sa.Connection], T]) -> T:
        """`write`, on the calling thread."""
        with self._writing.begin() as connection:
            return work(connection)

    def read_now(self, work: Callable[[sa.Connection], T]) -> T:
        """`read`, on the calling thread."""
        with self._reading.begin() as connection:
            return work(connection)

    def close(self) -> None:
        """Finish the writes under way and close every connection."""
        self._writer.shutdown(wait=True)
        self._reading.dispose()
        self._writing.dispose()


def _sqlite_writer(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, pool_size=1, max_overflow=0)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        for pragma in SQLITE_PRAGMAS:
            connection.execute(pragma)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # Taking the write lock at once avoids an upgrade in mid-transaction, which can fail.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _sqlite_reader(url: sa.URL) -> sa.Engine:
    path = Path(url.database or "").absolute()

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
        )
        connection.execute("PRAGMA busy_timeout=5000")
        return connection

    engine = sa.create_engine(
        "sqlite://", creator=connect, poolclass=sa.QueuePool, pool_size=8, max_overflow=8
    )

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
