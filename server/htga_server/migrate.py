"""Bring a database to the newest schema, and complete what its tables derive from the rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from htga_server.storage.database import Database
from htga_server.storage.engines import is_locked
from htga_server.storage.schema_owner import lock_migrations, refuse_foreign_tables
from htga_server.timeseries import rebuild

MIGRATION_SECONDS = 60.0
"""How long to wait for another process that migrates the same file."""


def migrations() -> Path:
    """Folder of the Alembic environment: inside an installed package, at the root of a clone."""
    installed = Path(__file__).parent / "migrations"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "migrations"


def migrate(database: Database) -> None:
    """Upgrade the schema; a database that is up to date does not change.

    Several processes may do so at once: one works, the others wait and find it done.

    Raises:
        ValueError: The tables are another program's, or a newer HTGA's; nothing was changed.
    """
    database.read_now(refuse_foreign_tables)  # before a connection that writes changes the file
    config = Config(toml_file=None)
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))

    def upgrade(connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    def complete(connection: sa.Connection) -> None:
        lock_migrations(connection)
        rebuild.complete(connection)

    _write_patiently(database, upgrade)
    _write_patiently(database, complete)


def _write_patiently(database: Database, work: Callable[[sa.Connection], None]) -> None:
    """Write, and wait as long as another process that migrates a SQLite file may take."""
    deadline = time.monotonic() + MIGRATION_SECONDS
    while True:
        try:
            database.write_now(work)
        except sa.exc.OperationalError as error:
            if not is_locked(error) or time.monotonic() > deadline:
                raise
        else:
            return
