"""The tables. Every primary key starts with the run, so that the large ones can be split by run.

SQLite would turn NaN into NULL, so it holds the text 'NaN' (see `htga_server.storage.bulk`).
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from htga_client.wire import SCALARS

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Real(sa.Float[float]):
    """A float64 column that passes SQLite's text 'NaN' through."""

    cache_ok = True

    def bind_processor(self, dialect: sa.Dialect) -> None:
        """Convert nothing; SQLAlchemy would call float() on each value."""


# SQLite numbers rows by itself only for an INTEGER PRIMARY KEY, not for a BIGINT.
RUN_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_key", RUN_KEY, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("run_group", sa.Text, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("notes", sa.Text, nullable=False),
    sa.Column("environment", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("created", Real(53), nullable=False),
    sa.Column("updated", Real(53)),
    sa.Column("finished", Real(53)),
    sa.Column("archived", sa.Boolean, nullable=False),
    sa.Column("last_step", sa.BigInteger),
    sa.Column("summary", sa.JSON, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("heartbeat", Real(53)),
    sa.Column("deleted", Real(53)),
    sa.Column("purging", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("pruned", Real(53)),
    sa.Column("pruning", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("restored", Real(53)),
    sa.Column("low", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("high", sa.JSON, nullable=False, server_default="{}"),
    sa.Index("ix_runs_project_run_key", "project", "run_key"),
)

writers = sa.Table(
    "writers",
    metadata,
    sa.Column("run_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("writer", sa.String(36), primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("next_seq", sa.BigInteger, nullable=False),
    sa.Column("batch_first", sa.BigInteger),
    sa.Column("batch_digest", sa.LargeBinary),
    sa.Column("start", sa.String(64)),
    comment="one row per sending process: its attempt, and the next sequence number expected",
)

gaps = sa.Table(
    "gaps",
    metadata,
    sa.Column("run_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("writer", sa.String(36), primary_key=True),
    sa.Column("first_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("end_seq", sa.BigInteger, nullable=False),
    sa.Column("time", Real(53), nullable=False),
    comment="rows that a writer has lost and says so: first_seq <= sequence number < end_seq",
)

names = sa.Table(
    "names",
    metadata,
    sa.Column("run_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(6), primary_key=True),
    sa.Column("name_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    comment="names of a run's layers (kind 'layer') and of its metrics (kind 'metric')",
)

KINDS: dict[pa.DataType, sa.types.TypeEngine[Any]] = {
    pa.float64(): Real(53),
    pa.int64(): sa.BigInteger(),
}

steps = sa.Table(
    "steps",
    metadata,
    sa.Column("run_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("layer_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("rank", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", Real(53), nullable=False),
    *(sa.Column(name, KINDS[kind]) for name, kind in SCALARS.items()),
    sqlite_with_rowid=False,
)

metrics = sa.Table(
    "metrics",
    metadata,
    sa.Column("run_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("metric_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("rank", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", Real(53), nullable=False),
    sa.Column("value", Real(53)),
    sqlite_with_rowid=False,
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.String(12), primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("project", sa.Text),
    sa.Column("created", Real(53), nullable=False),
    sa.Column("expires", Real(53)),
    sa.Column("revoked", Real(53)),
    comment="who may do what: hashes of the tokens' secrets; no project means all",
)

tracks = sa.Table(
    "tracks",
    metadata,
    sa.Column("run_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(6), primary_key=True),
    sa.Column("name_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("rank", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("first_step", sa.BigInteger, nullable=False),
    sa.Column("last_step", sa.BigInteger, nullable=False),
    comment="a layer or a metric on a rank, and the range of its steps",
)

cells = sa.Table(
    "cells",
    metadata,
    sa.Column("run_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(6), primary_key=True),
    sa.Column("name_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("rank", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("cell", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("time", Real(53), nullable=False),
    sa.Column("stats", sa.LargeBinary, nullable=False),
    sa.Column("histograms", sa.Integer, nullable=False),
    sa.Column("histogram", sa.LargeBinary),
    sqlite_with_rowid=False,
    comment="summaries of 8**level steps (htga_server.timeseries.rollup); derived,"
    " and made anew at will",
)

packs = sa.Table(
    "packs",
    metadata,
    sa.Column("run_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("layer_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("rank", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
    comment="histograms of the steps from `step` on, within one window"
    " (htga_server.timeseries.histogram_blocks)",
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("run_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("layer", sa.Text, nullable=False),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("time", Real(53), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    comment="what happened in a run, for people to read",
)

archive_files = sa.Table(
    "archive_files",
    metadata,
    sa.Column("run_key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("created", Real(53), nullable=False),
    comment="the files of archived runs, and what they were when they were written",
)

rules = sa.Table(
    "rules",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("threshold", Real(53), nullable=False),
    sa.Column("steps", sa.Integer, nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("webhook", sa.Text),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("created", Real(53), nullable=False),
    comment="what is watched in the runs of a project (htga_client.wire.NewRule)",
)

RUN_TABLES = (
    steps, metrics, packs, cells, tracks, names, gaps, events, writers, archive_files
)  # fmt: skip
"""The tables whose rows belong to a run, by its run_key."""
