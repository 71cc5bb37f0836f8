"""The rows of a pruned run, read from its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from htga_server.archive.archived_files import ArchivedFile, CheckedFiles, files_of
from htga_server.runs.lookup import name_ids
from htga_server.storage.database import Database
from htga_server.storage.tables import runs
from htga_server.timeseries import rollup
from htga_server.timeseries.raw_rows import Floats, Ints, is_latest, last_values_of
from htga_server.timeseries.rollup import Rollups
from htga_server.timeseries.series_key import LAYERS, OneOrMore, SeriesKey, SeriesKind
from htga_server.timeseries.snapshot import Snapshot

T = TypeVar("T")


class ArchivedRows:
    """The rows of one file, see `raw_rows.RawRows`.

    A file is sorted by layer or metric, rank, step and attempt, in groups of rows that know their
    least and greatest value, so that a short range of steps is in one or two of them.

    Args:
        file: What to read; it must have been checked.
        kind: What its rows are of.
        names: The names of layers or metrics by number.
    """

    def __init__(self, file: ArchivedFile, kind: SeriesKind, names: dict[int, str]) -> None:
        self._file = file
        self._names = names
        self._name = "layer" if kind is LAYERS else "key"

    def rows(
        self, key: OneOrMore, start: int, stop: int, columns: Sequence[str]
    ) -> tuple[Ints, Rollups]:
        """Read rows, see `RawRows`."""
        parts = list(self._tables(key, start, stop, ("attempt", "time", *columns)))
        table = pa.concat_tables(parts) if parts else self._empty(columns)
        owner = self._owners(table)
        step, attempt = (table[name].to_numpy() for name in ("step", "attempt"))
        order = np.lexsort((attempt, step, owner))
        order = order[is_latest(owner[order], step[order])]
        table, owner = table.take(order), owner[order]
        values = {name: _values(table[name]) for name in columns}
        return owner, rollup.of_rows(table["step"].to_numpy(), table["time"].to_numpy(), values)

    def number(self, key: SeriesKey, start: int, stop: int, limit: int) -> int:
        """Count rows, see `RawRows`."""
        found = 0
        for table in self._tables(key, start, stop, ()):
            found += table.num_rows
            if found > limit:
                break
        return found

    def histograms(self, key: SeriesKey, start: int, stop: int) -> dict[int, dict[int, bytes]]:
        """Read histograms, see `RawRows`."""
        found: dict[int, dict[int, bytes]] = {}
        for table in self._tables(key, start, stop, ("attempt", "histogram")):
            for step, attempt, blob in _present_histograms(table):
                found.setdefault(step, {})[attempt] = blob
        return {step: dict(sorted(found[step].items())) for step in sorted(found)}

    def last_histogram(self, key: SeriesKey, before: int) -> tuple[int, bytes] | None:
        """Return the latest histogram, see `RawRows`."""
        columns = ("attempt", "histogram")
        for table in self._tables(key, 0, before + 1, columns, backwards=True):
            found = max(_present_histograms(table), default=None)
            if found is not None:
                return found[0], found[2]
        return None

    def attempts(
        self, key: SeriesKey, start: int, stop: int, columns: Sequence[str], limit: int
    ) -> Sequence[Any]:
        """Read rows of all attempts, see `RawRows`."""
        rows: list[Any] = []
        for table in self._tables(key, start, stop, ("attempt", "time", *columns)):
            if len(rows) >= limit and table.num_rows:
                # A group may end between two attempts at one step.
                last, first = rows[-1][0], table["step"][0].as_py()
                return [row for row in rows if row[0] < last] if first == last else rows
            own = (table[name].to_pylist() for name in ("step", "attempt", "time", *columns))
            rows += zip(*own, strict=True)
        return rows

    def before(
        self, key: SeriesKey, column: str, *, attempt: int, step: int, limit: int
    ) -> tuple[Ints, Floats]:
        """Return earlier values, see `RawRows`."""
        found: dict[int, Any] = {}
        for table in self._tables(key, 0, step, ("attempt", column), backwards=True):
            own = (table[name].to_pylist() for name in ("step", "attempt", column))
            for at, by, value in reversed(list(zip(*own, strict=True))):
                if by <= attempt and value is not None:
                    found.setdefault(at, value)
            if len(found) >= limit:
                break
        return last_values_of(found, limit)

    @cached_property
    def _parquet(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._file.path)

    def _tables(
        self,
        key: OneOrMore,
        start: int,
        stop: int,
        columns: Sequence[str],
        *,
        backwards: bool = False,
    ) -> Iterator[pa.Table]:
        """Yield the rows of some series in `start <= step < stop`, group by group."""
        if start >= stop:
            return
        try:
            metadata = self._parquet.metadata
            names = [self._names[one] for one in key.name_ids if one in self._names]
            bounds: dict[str, tuple[Any, Any]] = {
                self._name: (min(names), max(names)) if names else ("", "")
            }
            bounds |= {"rank": (key.rank, key.rank), "step": (start, stop - 1)}
            groups = range(metadata.num_row_groups)
            for at in reversed(groups) if backwards else groups:
                if _may_hold(metadata.row_group(at), bounds):
                    table = self._group(at, columns)
                    same = pc.is_in(table[self._name], pa.array(names, pa.string()))
                    within = pc.and_(
                        pc.greater_equal(table["step"], start), pc.less(table["step"], stop)
                    )
                    of_rank = pc.equal(table["rank"], pa.scalar(key.rank, pa.int32()))
                    yield table.filter(pc.and_(pc.and_(same, within), of_rank))
        except (pa.ArrowException, OSError) as error:
            raise self._file.damaged("cannot be read as Parquet") from error

    def _group(self, at: int, columns: Sequence[str]) -> pa.Table:
        """Read columns of a group of rows; what a file of an older version lacks is null."""
        known = self._parquet.schema_arrow.names
        wanted = dict.fromkeys((self._name, "rank", "step", *columns))
        table = self._parquet.read_row_group(at, columns=[name for name in wanted if name in known])
        for name in wanted.keys() - set(known):
            table = table.append_column(name, pa.nulls(table.num_rows))
        return table

    def _empty(self, columns: Sequence[str]) -> pa.Table:
        kinds = {self._name: pa.string(), "step": pa.int64(), "attempt": pa.int32()}
        rest = dict.fromkeys(("time", *columns), pa.float64())
        return pa.schema([*kinds.items(), *rest.items()]).empty_table()

    def _owners(self, table: pa.Table) -> Ints:
        numbers = {name: number for number, name in self._names.items()}
        names = table[self._name].to_pylist()
        return np.fromiter((numbers[name] for name in names), np.int64, len(names))


class Snapshots:
    """Reads of runs, wherever their rows are.

    Args:
        database: The database.
        folder: The folder of the archive.
        checked: Remembers which files are what was archived.
    """

    def __init__(self, database: Database, folder: Path, checked: CheckedFiles) -> None:
        self._database = database
        self._archived = partial(archived_rows, folder=folder, checked=checked)

    async def read(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work` on one consistent snapshot, in a thread."""
        return await self._database.read(
            lambda connection: work(Snapshot(connection, self._archived))
        )


def archived_rows(
    connection: sa.Connection,
    run_key: int,
    kind: SeriesKind,
    *,
    folder: Path,
    checked: CheckedFiles,
) -> ArchivedRows:
    """Return the rows of a pruned run.

    Raises:
        Damaged: The file is not what was archived.
    """
    table = "steps" if kind is LAYERS else "metrics"
    (file,) = files_of(connection, runs.c.run_key == run_key, table, folder)
    checked.check(file)
    names = {number: name for name, number in name_ids(connection, run_key, kind.name).items()}
    return ArchivedRows(file, kind, names)


def _may_hold(group: pq.RowGroupMetaData, bounds: dict[str, tuple[Any, Any]]) -> bool:
    """Return whether a group of rows may have values within bounds, the ends included."""
    for at in range(group.num_columns):
        column = group.column(at)
        if column.path_in_schema in bounds and (known := column.statistics) is not None:
            low, high = bounds[column.path_in_schema]
            if known.has_min_max and (known.min > high or known.max < low):
                return False
    return True


def _values(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return a column as float64, NaN where not measured, and the mask of measured values."""
    measured = pc.is_valid(column).to_numpy()
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.where(measured, values, np.nan), measured


def _present_histograms(table: pa.Table) -> Iterator[tuple[int, int, bytes]]:
    present = table.filter(pc.is_valid(table["histogram"]))
    columns = (present[name].to_pylist() for name in ("step", "attempt", "histogram"))
    yield from zip(*columns, strict=True)
