"""SQL over live and archived runs by DuckDB.

A query sees the tables `runs`, `steps` and `metrics`. It can reach no file, network or setting.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import sqlalchemy as sa

from htga_server.archive import parquet
from htga_server.archive.arrow_export import METRICS, STEPS, metric_batches, step_batches
from htga_server.problems import BadRequest
from htga_server.runs.lookup import NOT_DELETED
from htga_server.storage.tables import runs

_TEXT, _TIME = pa.string(), pa.float64()
RUNS = pa.schema(
    [
        *((name, _TEXT) for name in ("id", "project", "name", "group")),
        ("tags", pa.list_(_TEXT)),
        *((name, _TEXT) for name in ("config", "notes", "state")),
        ("attempt", pa.int32()),
        *((name, _TIME) for name in ("created", "updated", "finished")),
        *(("archived", pa.bool_()), ("last_step", pa.int64()), ("summary", _TEXT)),
    ]
)
DUCKDB_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def run_query(
    connection: sa.Connection,
    sql: str,
    *,
    folder: Path,
    limit: int,
    seconds: float,
    project: str | None = None,
) -> pa.Table:
    """Execute one SELECT.

    Args:
        folder: The folder of the archive.
        limit: Maximum number of rows to return.
        seconds: Maximum time.
        project: The project whose runs are visible; None for all.

    Raises:
        BadRequest: It is no single SELECT, does not parse, fails, or takes too long.
    """
    visible = NOT_DELETED if project is None else sa.and_(NOT_DELETED, runs.c.project == project)
    live = sa.and_(runs.c.archived.is_(False), visible)
    archived = connection.scalars(
        sa.select(runs.c.id).where(runs.c.archived.is_(True), visible)
    ).all()
    found = [parquet.find_folder(run_id, folder) for run_id in archived]
    files = [path for path in found if path is not None]
    with duckdb.connect(config=DUCKDB_CONFIG) as duck:
        duck.register("runs", _runs(connection, visible))
        for name, schema, batches in (
            ("steps", STEPS, step_batches(connection, live)),
            ("metrics", METRICS, metric_batches(connection, live)),
        ):
            duck.register(f"live_{name}", pa.Table.from_batches(batches, schema))
            paths = [str(path / f"{name}.parquet") for path in files]
            duck.register(f"archived_{name}", ds.dataset(paths, schema=schema, format="parquet"))
            duck.execute(
                f"CREATE VIEW {name} AS"  # noqa: S608 (the names are those three lines above)
                f" SELECT * FROM live_{name} UNION ALL BY NAME SELECT * FROM archived_{name}"
            )
        duck.execute("SET lock_configuration = true")
        timer = threading.Timer(seconds, duck.interrupt)
        timer.start()
        try:
            statements = duck.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise BadRequest("sql must be one SELECT statement")
            return duck.sql(sql).limit(limit).to_arrow_table()
        except duckdb.InterruptException as error:
            raise BadRequest(f"the query took longer than {seconds:g} s") from error
        except duckdb.Error as error:
            raise BadRequest(str(error)[:2000]) from error
        finally:
            timer.cancel()


def _runs(connection: sa.Connection, visible: sa.ColumnElement[bool]) -> pa.Table:
    records = [
        row
        | {
            "group": row["run_group"],
            "config": json.dumps(row["config"]),
            "summary": json.dumps(row["summary"]),
        }
        for row in map(dict, connection.execute(sa.select(runs).where(visible)).mappings())
    ]
    return pa.Table.from_pylist(records, RUNS)
