from __future__ import annotations

import ast
import math
import uuid
from functools import partial
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from htga_client.wire import ROWS, NewRun, histogram
from htga_server.archive import arrow_export
from htga_server.archive.retention import being_pruned
from htga_server.migrate import migrate, migrations
from htga_server.reads import histograms, series
from htga_server.runs.deletion import expire
from htga_server.runs.store import register
from htga_server.runs.totals import count_runs
from htga_server.settings import Settings
from htga_server.storage.database import Database
from htga_server.storage.tables import RUN_TABLES, metadata, runs
from tests.support.rows import ipc, snapshot, store, stream


def config(connection: sa.Connection) -> Config:
    made = Config()
    made.set_main_option("script_location", str(migrations()))
    made.attributes["connection"] = connection
    return made


def test_the_migrations_make_exactly_the_tables_of_the_code(settings: Settings) -> None:
    database = Database(settings.url)
    migrate(database)
    database.write_now(lambda connection: command.check(config(connection)))
    database.close()


def test_a_migration_imports_nothing_that_may_change_after_it() -> None:
    versions = sorted((migrations() / "versions").glob("*.py"))
    assert len(versions) >= 9
    for path in versions:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        found |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        assert not [name for name in found if name.startswith("htga")], path.name


def test_upgrading_twice_changes_nothing_and_downgrading_leaves_nothing(
    settings: Settings,
) -> None:
    database = Database(settings.url)
    migrate(database)
    migrate(database)
    database.write_now(lambda connection: command.downgrade(config(connection), "base"))
    left = database.read_now(lambda connection: sa.inspect(connection).get_table_names())
    assert left == ["htga_alembic_version"]
    database.close()


def test_histograms_and_values_survive_the_way_down_and_up_again(settings: Settings) -> None:
    database = Database(settings.url)
    migrate(database)
    new = NewRun(id=str(uuid.uuid4()), project="p", name="n")
    database.write_now(lambda c: register(c, new, settings))
    rows = [
        {
            "step": step,
            "alpha_hat": math.nan if step == 5 else step / 7,
            "histogram": histogram.encode([step + 1, 2], bits=3, first=900) if step % 3 else None,
            "metrics": [("loss", 1.0)],
        }
        for step in range(300)
    ]
    store(database, settings, new.id, stream(rows))

    def said() -> list[object]:
        within = series.Range()
        keys = ["alpha_hat", "loss"]
        return [
            repr(database.read_now(lambda c: series.read(snapshot(c), new.id, keys, within, 5000))),
            repr(database.read_now(lambda c: series.read(snapshot(c), new.id, keys, within, 9))),
            database.read_now(lambda c: histograms.read(snapshot(c), new.id, within, 5000, 3)),
            database.read_now(lambda c: histograms.read(snapshot(c), new.id, within, 4, 3)),
            database.read_now(
                lambda c: [b.to_pylist()[:6] for b in arrow_export.step_batches(c, runs.c.id != "")]
            )[0][1:5],
        ]

    before = said()
    assert database.read_now(lambda c: c.scalar(sa.text("SELECT count(*) FROM packs"))) == 5
    database.write_now(lambda connection: command.downgrade(config(connection), "0002"))
    old = database.read_now(
        lambda c: c.scalar(sa.text("SELECT count(*) FROM steps WHERE histogram IS NOT NULL"))
    )
    assert old == 200
    migrate(database)
    assert said() == before
    database.close()


def test_rows_that_were_there_before_they_were_counted_are_counted(settings: Settings) -> None:
    database = Database(settings.url)
    migrate(database)
    new = NewRun(id=str(uuid.uuid4()), project="p", name="n")
    database.write_now(lambda c: register(c, new, settings))
    rows: list[dict[str, Any]] = [
        *({"step": s, "layer": x, "alpha_hat": 1.0} for s in range(5) for x in ("", "a")),
        *({"step": s, "metrics": [("loss", 1.0), ("lr", 1.0)]} for s in range(5, 8)),
        {"step": 9, "alpha_hat": 1.0, "metrics": [("loss", 1.0)]},
    ]
    store(database, settings, new.id, stream(rows))
    database.write_now(lambda connection: command.downgrade(config(connection), "0005"))
    migrate(database)
    assert database.read_now(count_runs).rows == len(rows) == 14
    database.close()


def test_runs_that_were_being_purged_or_pruned_still_are_after_the_upgrade(
    settings: Settings,
) -> None:
    database = Database(settings.url)
    migrate(database)
    ids = {}
    for name in ("purging", "pruning", "deleted", "kept"):
        ids[name] = str(uuid.uuid4())
        new = NewRun(id=ids[name], project="p", name=name)
        database.write_now(partial(register, new=new, limits=settings))
    database.write_now(lambda connection: command.downgrade(config(connection), "0009"))
    for name, column, moment in (
        ("purging", "deleted", 0.0),
        ("pruning", "pruned", 0.0),
        ("deleted", "deleted", 7.0),
    ):
        change = sa.update(runs).where(runs.c.name == name).values({column: moment})
        database.write_now(partial(sa.Connection.execute, statement=change))
    migrate(database)
    assert database.write_now(lambda c: expire(c, before=5.0)).popitem()[1] == ids["purging"]
    assert list(database.read_now(being_pruned).values()) == [ids["pruning"]]
    times = sa.select(runs.c.name, runs.c.deleted, runs.c.pruned).order_by(runs.c.name)
    found = database.read_now(lambda c: [tuple(row) for row in c.execute(times)])
    assert [row[0] for row in found if row[1]] == ["deleted", "purging"]
    assert [row[0] for row in found if row[2]] == ["pruning"]
    database.write_now(lambda connection: command.downgrade(config(connection), "0009"))
    old = sa.text("SELECT name FROM runs WHERE deleted = 0.0 OR pruned = 0.0 ORDER BY name")
    assert database.read_now(lambda c: c.execute(old).scalars().all()) == ["pruning", "purging"]
    database.close()


def test_every_table_of_a_run_can_be_split_by_the_run() -> None:
    for table in RUN_TABLES:
        assert next(iter(table.primary_key.columns)).name == "run_key", table.name
        assert not table.foreign_keys
    others = set(metadata.tables.values()) - set(RUN_TABLES)
    assert {table.name for table in others} == {"runs", "rules", "tokens"}


NEW = ("n_total", "scope", "estimator", "control_alpha", "control_alpha_bar")
"""Some of the columns that say what a tail index is of."""


def test_rows_of_clients_and_databases_without_the_newest_columns_keep_what_they_have(
    settings: Settings,
) -> None:
    database = Database(settings.url)
    migrate(database)
    old = [name for name in ROWS.names if not name.startswith("control_") and name not in NEW]

    def values(run_id: str, keys: list[str]) -> dict[str, list[float | None]]:
        within = series.Range()
        told = database.read_now(lambda c: series.read(snapshot(c), run_id, keys, within, 5000))
        return {key: told.keys[key].mean for key in keys}

    rows = [{"step": step, "alpha_hat": step / 7, "k": 50, "n_total": 9} for step in range(200)]
    of_an_old_client, of_an_old_database = (
        NewRun(id=str(uuid.uuid4()), project="p", name=name) for name in ("client", "database")
    )
    for new in (of_an_old_client, of_an_old_database):
        database.write_now(partial(register, new=new, limits=settings))
    table = pa.Table.from_pylist(rows, ROWS).select(old)
    assert not store(database, settings, of_an_old_client.id, ipc(table)).receipt.rejected
    store(database, settings, of_an_old_database.id, stream(rows))
    database.write_now(lambda connection: command.downgrade(config(connection), "0010"))
    migrate(database)
    for new in (of_an_old_client, of_an_old_database):
        told = values(new.id, ["alpha_hat", "k", *NEW])
        assert told["alpha_hat"] == [step / 7 for step in range(200)]
        assert told["k"] == [50] * 200
    assert all(told[name][100:] == [None] * 100 for name in NEW)
    store(database, settings, of_an_old_database.id, stream([{"step": 300, "control_alpha": 2.0}]))
    assert values(of_an_old_database.id, ["control_alpha"])["control_alpha"][-1] == 2.0
    database.close()
