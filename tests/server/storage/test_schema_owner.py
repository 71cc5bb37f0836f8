"""One database with other programs, and with other collectors that start at the same moment."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import sqlalchemy as sa

from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.migrate import migrate
from htga_server.settings import Settings
from htga_server.storage import engines
from htga_server.storage.database import Database
from htga_server.storage.schema_owner import VERSION_TABLE
from htga_server.storage.tables import metadata
from tests.support.processes import ROOT
from tests.support.rows import new_run

NewUrl = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    """Addresses of databases without any table."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path / uuid.uuid4().hex}.db"
    server: str = request.getfixturevalue("postgres")

    def create() -> str:
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return server.replace("/postgres?", f"/{name}?")

    return create


def execute(url: str, *statements: str) -> None:
    """Execute statements as another program would."""
    engine = sa.create_engine(Settings(database_url=url).url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def read(url: str, query: str) -> list[tuple[object, ...]]:
    engine = sa.create_engine(Settings(database_url=url).url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(query)]
    engine.dispose()
    return found


def tables_of(url: str) -> set[str]:
    engine = sa.create_engine(Settings(database_url=url).url)
    found = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return found


def upgrade(url: str, *, check: bool = True) -> None:
    database = Database(Settings(database_url=url).url)
    try:
        if check:
            database.check()
        migrate(database)
    finally:
        database.close()


VERSION = (
    "CREATE TABLE alembic_version"
    " (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""The table of Optuna, MLflow, Airflow, and ours until it got a name of its own."""


@pytest.mark.parametrize("revision", ["v3.2.0.a", "0003", None])
def test_the_revision_of_another_program_stays_as_it_is(
    new_url: NewUrl, revision: str | None
) -> None:
    url = new_url()
    execute(url, VERSION, "CREATE TABLE studies (study_id INTEGER PRIMARY KEY)")
    if revision:
        execute(url, f"INSERT INTO alembic_version VALUES ('{revision}')")  # noqa: S608
    upgrade(url)
    upgrade(url)
    assert read(url, "SELECT * FROM alembic_version") == [(revision,)] * bool(revision)
    assert read(url, f"SELECT * FROM {VERSION_TABLE}") == [("0015",)]  # noqa: S608
    assert tables_of(url) == {*metadata.tables, "studies", "alembic_version", VERSION_TABLE}


@pytest.mark.parametrize("revision", ["0015", "0004"])
def test_our_revision_moves_to_a_table_of_our_own(new_url: NewUrl, revision: str) -> None:
    url = new_url()
    upgrade(url)
    execute(
        url,
        f"DROP TABLE {VERSION_TABLE}",
        VERSION,
        f"INSERT INTO alembic_version VALUES ('{revision}')",  # noqa: S608
    )
    if revision == "0015":
        upgrade(url)
        assert tables_of(url) == {*metadata.tables, VERSION_TABLE}
        assert read(url, f"SELECT * FROM {VERSION_TABLE}") == [("0015",)]  # noqa: S608
        execute(url, VERSION)  # Optuna comes later and finds its name, and its key's, free
        upgrade(url)
    else:
        # The tables are newer than that, so the next revision fails, and nothing of it stays.
        with pytest.raises(sa.exc.DBAPIError):
            upgrade(url)
        assert read(url, "SELECT * FROM alembic_version") == [(revision,)]
        assert VERSION_TABLE not in tables_of(url)


@pytest.mark.parametrize("table", [VERSION_TABLE, "alembic_version"])
def test_a_database_of_a_newer_htga_is_refused_by_name(new_url: NewUrl, table: str) -> None:
    url = new_url()
    upgrade(url)
    execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")  # noqa: S608
    if table != VERSION_TABLE:
        execute(url, f"ALTER TABLE {VERSION_TABLE} RENAME TO {table}")
    with pytest.raises(ValueError, match=r"schema 9999, which this HTGA does not know.*install"):
        upgrade(url)
    assert tables_of(url) == {*metadata.tables, table}


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE TABLE runs (run_uuid VARCHAR(32) PRIMARY KEY, status VARCHAR(9))", "runs"),
        ("CREATE TABLE metrics (key VARCHAR(250), value FLOAT)", "metrics"),
        ("CREATE TABLE tokens (id INTEGER)", "tokens"),
        ("CREATE VIEW events AS SELECT 1 AS one", "events"),
    ],
)
def test_tables_of_another_program_under_names_of_ours_are_refused_and_not_touched(
    new_url: NewUrl, statement: str, name: str
) -> None:
    url = new_url()
    execute(url, VERSION, "INSERT INTO alembic_version VALUES ('0003')", statement)
    before = tables_of(url)
    journal = read(url, "PRAGMA journal_mode") if "sqlite" in url else None
    for check in (True, False):
        with pytest.raises(ValueError, match=rf"of another program \({name}\).*of its own"):
            upgrade(url, check=check)
    assert tables_of(url) == before
    assert read(url, "SELECT * FROM alembic_version") == [("0003",)]
    if journal:
        assert read(url, "PRAGMA journal_mode") == journal == [("delete",)]


def test_a_schema_of_its_own_keeps_a_collector_apart_from_another_program(
    postgres: str, tmp_path: Path
) -> None:
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = postgres.replace("/postgres?", f"/{name}?")
    execute(
        url, VERSION, "CREATE TABLE runs (run_uuid VARCHAR(32))", "CREATE TABLE tags (key TEXT)"
    )
    for path in ("htga", "htga,public"):
        own = f"{url}&options=-csearch_path%3D{path}"
        if path == "htga":
            with pytest.raises(ValueError, match="CREATE SCHEMA htga"):
                upgrade(own)
            execute(url, "CREATE SCHEMA htga")
        settings = Settings(database_url=own, data=tmp_path)
        with Server(create_app(settings)).background() as server:
            made = httpx2.post(f"{server.url}/api/v1/runs", json=new_run(), timeout=60)
            assert made.status_code == 201
            listed = httpx2.get(f"{server.url}/api/v1/runs", timeout=60).json()["items"]
            assert made.json()["id"] in [run["id"] for run in listed]
    assert tables_of(url) == {"alembic_version", "runs", "tags"}
    assert read(url, "SELECT count(*) FROM htga.runs") == [(2,)]


def test_collectors_that_start_at_once_on_an_empty_database_all_start(new_url: NewUrl) -> None:
    urls = [new_url() for _ in range(6)]
    addresses = [Settings(database_url=url).url for url in urls]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "tests/support/migrating.py"), "4", *addresses],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr
    for url in urls:
        assert read(url, f"SELECT * FROM {VERSION_TABLE}") == [("0015",)]  # noqa: S608
        assert tables_of(url) == {*metadata.tables, VERSION_TABLE}


class RefusedOnce(sqlite3.Connection):
    """Refuses the first statement at once, as SQLite does where two processes make a log."""

    left = 1

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if self.left:
            self.left -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return super().execute(*arguments)


def test_a_new_log_waits_for_another_process_that_makes_it(tmp_path: Path) -> None:
    engine = engines.sqlite_writer(sa.make_url(f"sqlite:///{tmp_path / 'htga.db'}"))
    sa.event.listen(engine, "do_connect", lambda *a: a[3].update(factory=RefusedOnce))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()


def test_a_file_that_others_keep_locked_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "htga.db"
    monkeypatch.setattr(engines, "LOCK_SECONDS", 0.0)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ValueError, match=r"written to \(database is locked\)") as error:
            upgrade(f"sqlite:///{path}")
        assert "damaged" not in str(error.value)
