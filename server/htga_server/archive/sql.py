"""SQL over live and archived runs by DuckDB.

A query sees the tables of `htga_server.archive.relations`. It can reach no other file, network or
setting, and only what it reads is loaded.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from htga_server.archive.archived_files import ArchivedFile, CheckedFiles, files_of
from htga_server.archive.query_clock import QueryClock
from htga_server.archive.query_plan import Plan, Scan, empty_tables, everything, plan
from htga_server.archive.query_tables import NOT_LOADED, QueryTables
from htga_server.archive.relations import ROWS, literal
from htga_server.archive.sql_functions import create_functions
from htga_server.problems import BadRequest, TooLarge
from htga_server.runs.lookup import NOT_DELETED
from htga_server.storage.tables import runs

logger = logging.getLogger(__name__)
DUCKDB_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "temp_directory": "",  # what does not fit into the memory is refused, not spilled
}
_NO_REASONS = {"std::exception", "INTERNAL Error: std::exception", ""}
NO_REASON = (
    "DuckDB failed and gives no reason; a moving median or quantile over NaN or infinity does so:"
    " leave those out, as in WHERE isfinite(value)"
)
FILES_OF = {"all_steps": "steps", "all_metrics": "metrics"}
"""The files that hold the rows of a table."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may take.

    Attributes:
        rows: Maximum number of rows of the answer; further ones are cut off.
        seconds: Maximum time, from before the statement is planned.
        memory: Bytes that DuckDB may use, besides the live rows.
        answer: Maximum bytes of the answer.
        threads: Maximum number of threads.
    """

    rows: int
    seconds: float
    memory: int
    answer: int
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a query.

    Attributes:
        table: Its rows.
        left_out: A sentence for each damaged file whose rows are missing.
    """

    table: pa.Table
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class SqlQuery:
    """One SELECT over the runs that its sender may see.

    Attributes:
        sql: The statement.
        folder: The folder of the archive.
        limits: What it may take.
        project: The project whose runs are visible; None for all.
        skip_damaged: Whether to answer without the rows of damaged files.
    """

    sql: str
    folder: Path
    limits: Limits
    project: str | None = None
    skip_damaged: bool = False

    def run(self, connection: sa.Connection, checked: CheckedFiles) -> Answer:
        """Execute it.

        Args:
            connection: To the database.
            checked: Remembers which files are what was archived.

        Raises:
            BadRequest: It is no single SELECT, does not parse, fails, or takes too long.
            Damaged: A file that it reads is not what was archived.
            TooLarge: The answer is larger than may be.
        """
        clock = QueryClock(self.limits.seconds)
        try:
            with clock.running():
                reads = self._plan(clock)
                try:
                    return self._answer(connection, reads, checked, clock)
                except duckdb.Error as error:
                    if NOT_LOADED not in str(error):
                        raise
                    words = str(error).partition(NOT_LOADED)[2]
                    logger.warning(
                        "a query reads %.40s, which its plan does not name: %.1000s",
                        words,
                        self.sql,
                    )
                    return self._answer(connection, everything(), checked, clock)
        except duckdb.InterruptException as error:
            raise clock.too_slow() from error
        except duckdb.Error as error:
            words = str(error).replace(str(self.folder), "archive")[:2000]
            raise BadRequest(NO_REASON if words.strip() in _NO_REASONS else words) from error

    def _plan(self, clock: QueryClock) -> Plan:
        with duckdb.connect(config=DUCKDB_CONFIG) as duck, clock.stops(duck):
            duck.execute("SET enable_external_access = false")
            empty_tables(duck)
            create_functions(duck)
            duck.execute("SET lock_configuration = true")
            return plan(duck, self.sql)

    def _answer(
        self, connection: sa.Connection, reads: Plan, checked: CheckedFiles, clock: QueryClock
    ) -> Answer:
        left_out: list[str] = []
        files: dict[str, list[ArchivedFile]] = {}
        for name in ROWS.keys() & reads.keys():
            archived = sa.and_(self._visible(reads[name]), runs.c.archived.is_(True))
            found = files_of(connection, archived, FILES_OF[name], self.folder)
            files[name] = list(checked.sound(found, left_out if self.skip_damaged else None))
            clock.check()
        paths = ", ".join(literal(str(file.path)) for own in files.values() for file in own)
        memory = f"{self.limits.memory >> 20}MiB"
        config = DUCKDB_CONFIG | {"memory_limit": memory, "threads": self.limits.threads}
        with duckdb.connect(config=config) as duck, clock.stops(duck):
            duck.execute(f"SET allowed_paths = [{paths}]")
            duck.execute("SET enable_external_access = false")
            tables = QueryTables(connection, reads, files, visible=self._visible, clock=clock)
            tables.define(duck)
            create_functions(duck)
            duck.execute("SET lock_configuration = true")
            clock.check()
            return Answer(self._rows(duck), tuple(left_out))

    def _visible(self, scan: Scan) -> sa.ColumnElement[bool]:
        """Return the condition for the runs that may be read, and are."""
        conditions: list[sa.ColumnElement[bool]] = [NOT_DELETED]
        if self.project is not None:
            conditions.append(runs.c.project == self.project)
        if scan.run_ids is not None:
            conditions.append(runs.c.id.in_(scan.run_ids))
        return sa.and_(*conditions)

    def _rows(self, duck: duckdb.DuckDBPyConnection) -> pa.Table:
        (statement,) = duck.extract_statements(self.sql)
        reader = duck.sql(statement.query).limit(self.limits.rows).to_arrow_reader(10_000)
        batches, size = [], 0
        for batch in reader:
            size += batch.nbytes
            if size > self.limits.answer:
                raise TooLarge(
                    f"the answer is larger than {self.limits.answer} bytes; select fewer columns"
                    " or rows",
                    limit=self.limits.answer,
                    actual=size,
                )
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)
