"""Engines for SQLite and Postgres, and the checks that a database must pass before its use."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic_core import from_json

logger = logging.getLogger(__name__)

SQLITE_PRAGMAS: tuple[str, ...] = (
    # An acknowledged row must survive a power cut; with synchronous=NORMAL the last would not.
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=5000",
    "PRAGMA journal_size_limit=67108864",
)
LOCK_SECONDS = 5.0
"""How long a connection waits for another process that has the file."""
QUICK_CHECK_BYTES = 64 * 2**20
"""A SQLite file up to this size is checked at every start."""
_NOT_DAMAGED = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
"""Errors that say nothing about what is in the file."""


def parse_url(url: str) -> sa.URL:
    """The address of a database.

    Raises:
        ValueError: It is none, or of another kind than SQLite and Postgres; no password is shown.
    """
    try:
        parsed = sa.make_url(url)
        known = parsed.get_backend_name() in {"sqlite", "postgresql"}
    except (sa.exc.ArgumentError, ValueError):
        known = False
    if not known:
        shown = re.sub(r"(://[^:/@]*:)[^@]*@", r"\1***@", url)
        raise ValueError(
            "database_url (--db, HTGA_DATABASE_URL) must look like sqlite:///path/to/file.db or"
            f" postgresql://user:password@host/database, got {shown!r}"
        )
    return parsed


def is_locked(error: sa.exc.DBAPIError) -> bool:
    """Whether another process has a SQLite file."""
    return _code(error) == sqlite3.SQLITE_BUSY


def _code(error: sa.exc.DBAPIError) -> int:
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF


def check_sqlite(engine: sa.Engine, path: Path) -> None:
    """Refuse a file that is damaged, or cannot be written to safely.

    Raises:
        ValueError: The file is unusable; the message says what to do.
    """
    if sqlite3.sqlite_version_info < (3, 51, 3):
        # Two connections that write at once can corrupt its log; we have only one.
        logger.info("SQLite %s: let no other program write to %s", sqlite3.sqlite_version, path)
    mode, found = "wal", "ok"
    try:
        with engine.connect() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar() or ""
            if path.stat().st_size <= QUICK_CHECK_BYTES:
                found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() or ""
    except sa.exc.DatabaseError as error:
        found = str(error.orig)
        if _code(error) in _NOT_DAMAGED:
            raise ValueError(
                f"{path} cannot be written to ({found}); see to the rights of the file and its"
                " folder, to free space, and to other programs that use it"
            ) from error
    if found != "ok":
        raise ValueError(
            f"{path} is damaged ({found[:200]}); nothing was written to it. Restore it from a"
            " backup, or save what is readable with `sqlite3 htga.db .recover`"
        )
    if mode != "wal":
        raise ValueError(f"{path} cannot be used with a write-ahead log; put it on a local disk")


def check_postgres(connection: sa.Connection) -> None:
    """Refuse a server that forgets commits at a power cut.

    Raises:
        ValueError: A setting is off; the message names it.
    """
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if connection.exec_driver_sql(f"SHOW {name}").scalar() == "off":
            raise ValueError(
                f"Postgres has {name} = off and would lose acknowledged rows at a power cut; turn"
                " it on"
            )


def postgres(url: sa.URL, **options: Any) -> sa.Engine:
    """Make an engine that tests connections before use and limits how long a statement takes.

    Options in the URL, such as the schema that it names, hold as well.
    """
    named = url.query.get("options", ())
    limits = ("-c statement_timeout=30s", "-c lock_timeout=10s")
    options_of_url = (named,) if isinstance(named, str) else named
    return sa.create_engine(
        url,
        pool_pre_ping=True,
        json_deserializer=from_json,
        connect_args={"options": " ".join((*limits, *options_of_url))},
        **options,
    )


def sqlite_writer(url: sa.URL) -> sa.Engine:
    """Make the engine of the one connection that writes, in transactions that lock at once."""
    engine = sa.create_engine(
        url,
        pool_size=1,
        max_overflow=0,
        json_deserializer=from_json,
        connect_args={"timeout": LOCK_SECONDS},  # for the pragmas before that of the timeout
    )

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # we send BEGIN ourselves, below
        for pragma in SQLITE_PRAGMAS:
            _execute_patiently(connection, pragma)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # Taking the write lock later, in mid-transaction, can fail.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _execute_patiently(connection: sqlite3.Connection, pragma: str) -> None:
    """Execute a pragma; SQLite itself does not wait for others that make a new log, too."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            connection.execute(pragma)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def sqlite_reader(url: sa.URL) -> sa.Engine:
    """Make an engine of connections that cannot write; each transaction sees one snapshot."""
    path = Path(url.database or "").absolute()

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
        )
        connection.execute("PRAGMA busy_timeout=5000")
        return connection

    engine = sa.create_engine(
        "sqlite://",
        creator=connect,
        poolclass=sa.QueuePool,
        pool_size=8,
        max_overflow=8,
        json_deserializer=from_json,
    )

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
