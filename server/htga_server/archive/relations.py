"""The tables that a query sees: four that hold rows, and views of them that mean what people mean.

In a view each step of a run has one row: that of the whole model or of one layer, on rank 0, of the
latest attempt at the step. The tables beginning with "all" hold every layer, rank and attempt.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from htga_server.archive.arrow_export import LATEST, METRICS, STEPS

_TEXT, _TIME = pa.string(), pa.float64()
RUNS = pa.schema(
    [
        *((name, _TEXT) for name in ("id", "project", "name", "group")),
        ("tags", pa.list_(_TEXT)),
        *((name, _TEXT) for name in ("config", "environment", "notes", "state")),
        ("attempt", pa.int32()),
        *((name, _TIME) for name in ("created", "updated", "finished")),
        *(("archived", pa.bool_()), ("last_step", pa.int64()), ("summary", _TEXT)),
    ]
)
_OF_RUN = [("run_id", _TEXT), ("project", _TEXT), ("run", _TEXT)]
EVENTS = pa.schema(
    [
        *_OF_RUN,
        *(("attempt", pa.int32()), ("rank", pa.int32()), ("step", pa.int64())),
        *(("layer", _TEXT), ("time", _TIME)),
        *((name, _TEXT) for name in ("kind", "level", "title", "text")),
    ]
)
GAPS = pa.schema(
    [
        *_OF_RUN,
        *(("writer", _TEXT), ("first_seq", pa.int64()), ("end_seq", pa.int64()), ("time", _TIME)),
    ]
)
ROWS = {"all_steps": STEPS.append(LATEST), "all_metrics": METRICS.append(LATEST)}
"""The tables whose rows may be in the archive."""
TABLES = {"runs": RUNS, **ROWS, "events": EVENTS, "gaps": GAPS}
_SHOWN = "* EXCLUDE (latest)"
VIEWS = {
    "steps": f"SELECT {_SHOWN} FROM all_steps WHERE latest AND rank = 0 AND layer = ''",  # noqa: S608
    "layers": f"SELECT {_SHOWN} FROM all_steps WHERE latest AND rank = 0 AND layer <> ''",  # noqa: S608
    "metrics": f"SELECT {_SHOWN} FROM all_metrics WHERE latest AND rank = 0",  # noqa: S608
}
"""What each view selects."""

_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.list_(pa.string()): "VARCHAR[]",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.binary(): "BLOB",
}


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def sql_type(kind: pa.DataType) -> str:
    """Return the SQL name of a type of these tables."""
    return _SQL_TYPES[kind]


def create_views() -> Iterable[str]:
    """Yield the statements that create the views, once the tables are there."""
    return (f"CREATE VIEW {name} AS {select}" for name, select in VIEWS.items())
