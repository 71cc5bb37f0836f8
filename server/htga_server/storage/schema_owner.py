"""Whose tables a schema holds: ours, nobody's yet, or another program's.

Alembic keeps the revision of a schema in a table that is called `alembic_version` in every program
that gives it no other name. Ours has a name of its own, so that programs that share a schema do not
read each other's.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from htga_server.storage.tables import metadata

VERSION_TABLE = "htga_alembic_version"
_SHARED_TABLE = "alembic_version"
_MIGRATION_LOCK = 0x68746761
"""Key of the advisory lock of Postgres that a migration holds: the letters of "htga"."""


def lock_migrations(connection: sa.Connection) -> None:
    """Wait until no other process migrates this database, as a transaction of SQLite does anyway.

    The lock ends with the transaction. It may be held for as long as a migration takes, so the
    connection's limit on waiting does not hold here.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        connection.exec_driver_sql("SET LOCAL lock_timeout = DEFAULT")


def refuse_foreign_tables(connection: sa.Connection) -> None:
    """Refuse a schema in which another program has tables with names of ours. Only reads.

    Raises:
        ValueError: There are such tables; the message names them and says what to do.
    """
    inspector = sa.inspect(connection)
    own_schema = (
        inspector.default_schema_name
    )  # without a name, all of a search_path would be meant
    if own_schema is None:
        raise ValueError(
            "the search_path of the database's address names no schema that exists; make it first:"
            " CREATE SCHEMA htga"
        )
    tables = inspector.get_table_names(own_schema)
    found = {*tables, *inspector.get_view_names(own_schema)}
    taken = sorted(found & metadata.tables.keys())
    if not taken or VERSION_TABLE in found or _has_old_version(inspector, found):
        return
    raise ValueError(
        f"the database has tables of another program ({', '.join(taken)}), and nothing was changed;"
        " give HTGA a database, or a Postgres schema, of its own by --db or HTGA_DATABASE_URL, such"
        " as postgresql://user@host/database?options=-csearch_path%3Dhtga"
    )


def adopt_version(connection: sa.Connection, known: Collection[str]) -> None:
    """Move our revision from the table that all programs share to our own.

    The shared table stays as it is unless the only revision in it is ours.

    Args:
        known: Our revisions.

    Raises:
        ValueError: The tables are another program's, or a newer HTGA's.
    """
    refuse_foreign_tables(connection)
    inspector = sa.inspect(connection)
    found = inspector.get_table_names(inspector.default_schema_name)
    if VERSION_TABLE not in found and _has_old_version(inspector, found):
        old, own = _version_table(_SHARED_TABLE), _version_table(VERSION_TABLE)
        revisions = connection.scalars(sa.select(old.c.version_num)).all()
        _check_known(revisions, known)
        own.create(connection)
        connection.execute(own.insert(), [{"version_num": revision} for revision in revisions])
        old.drop(connection)
    elif VERSION_TABLE in found:
        own = _version_table(VERSION_TABLE)
        _check_known(connection.scalars(sa.select(own.c.version_num)).all(), known)


def _has_old_version(inspector: sa.Inspector, found: Collection[str]) -> bool:
    """Whether the tables are ours, from the time when our revision was in the shared table."""
    return {_SHARED_TABLE, "runs"} <= set(found) and any(
        column["name"] == "run_key"
        for column in inspector.get_columns("runs", inspector.default_schema_name)
    )


def _check_known(revisions: Collection[str], known: Collection[str]) -> None:
    if unknown := sorted(set(revisions) - set(known)):
        raise ValueError(
            f"the database has schema {', '.join(unknown)}, which this HTGA does not know (it knows"
            f" {min(known)} to {max(known)}); it was made by a newer HTGA: install that, or name"
            " another database"
        )


def _version_table(name: str) -> sa.Table:
    key = sa.PrimaryKeyConstraint("version_num", name=f"{name}_pkc")  # as Alembic calls it
    return sa.Table(name, sa.MetaData(), sa.Column("version_num", sa.String(32)), key)
