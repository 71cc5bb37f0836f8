from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from htga_server.database import Database, migrations
from htga_server.settings import Settings


def config(connection: sa.Connection) -> Config:
    made = Config()
    made.set_main_option("script_location", str(migrations()))
    made.attributes["connection"] = connection
    return made


def test_the_migrations_make_exactly_the_tables_of_the_code(settings: Settings) -> None:
    database = Database(settings.url)
    database.upgrade()
    database.write_now(lambda connection: command.check(config(connection)))
    database.close()


def test_upgrading_twice_changes_nothing_and_downgrading_leaves_nothing(
    settings: Settings,
) -> None:
    database = Database(settings.url)
    database.upgrade()
    database.upgrade()
    database.write_now(lambda connection: command.downgrade(config(connection), "base"))
    left = database.read_now(lambda connection: sa.inspect(connection).get_table_names())
    assert left == ["alembic_version"]
    database.close()
