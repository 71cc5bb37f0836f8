"""Alembic's environment: the collector hands over its connection, a person's shell its URL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from htga_server.settings import read_settings
from htga_server.storage.schema_owner import VERSION_TABLE, adopt_version, lock_migrations
from htga_server.storage.tables import metadata


def migrate(connection: sa.Connection) -> None:
    lock_migrations(connection)
    adopt_version(connection, {script.revision for script in context.script.walk_revisions()})
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        version_table=VERSION_TABLE,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with sa.create_engine(read_settings().url).begin() as own:
        migrate(own)
