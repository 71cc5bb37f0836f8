"""Copying a SQLite database while it is in use."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from htga_server.storage.engines import parse_url


def backup(url: str, to: Path) -> None:
    """Copy a consistent snapshot of the database into one file, and check the copy.

    Raises:
        ValueError: It is a Postgres database (use pg_dump or pg_basebackup), or the copy turned
            out to be damaged.
        FileExistsError: `to` exists.
        FileNotFoundError: The database does not exist.
    """
    address = parse_url(url)
    if address.get_backend_name() != "sqlite":
        raise ValueError(
            "only SQLite is copied here, and --db or HTGA_DATABASE_URL names Postgres; use pg_dump"
            " or pg_basebackup for that"
        )
    source = Path(address.database or "")
    if not source.is_file():
        raise FileNotFoundError(f"there is no database at {source}; see --data, HTGA_DATABASE_URL")
    if to.exists():
        raise FileExistsError(f"{to} exists; name a file that does not")
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    if not to.absolute().parent.is_dir():
        raise FileNotFoundError(f"{to}: there is no folder {to.absolute().parent}; make it first")
    with (
        contextlib.closing(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        ) as old,
        contextlib.closing(sqlite3.connect(part)) as new,
    ):
        old.backup(new)
        found = new.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        part.unlink()
        raise ValueError(f"the copy is damaged ({found}), and so is {source}")
    part.rename(to)
