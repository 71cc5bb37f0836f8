"""A run whose rows are in the archive alone reads as it did while the database had them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from htga_client.wire.histogram import encode
from htga_server.archive.archived_files import ArchivedFile, CheckedFiles, files_of
from htga_server.archive.archived_rows import ArchivedRows
from htga_server.runs.lookup import key_of, name_ids
from htga_server.settings import Settings
from htga_server.storage.database import Database
from htga_server.storage.tables import runs
from htga_server.timeseries.raw_rows import RawRows, StoredRows
from htga_server.timeseries.series_key import LAYERS, METRICS, SeriesKey, SeriesKeys, SeriesKind
from tests.support.archived_run import STEPS, fill, prune, readings

Post = Callable[..., httpx2.Response]


def test_every_read_of_a_pruned_run_answers_as_before(
    api: httpx2.Client, run_id: str, post: Post, database: Database, settings: Settings
) -> None:
    fill(run_id, api, post)
    before = readings(api, run_id)
    arrow = {"accept": "application/vnd.apache.arrow.stream"}
    as_arrow = api.get(f"/runs/{run_id}/series?keys=alpha_hat&stop=50", headers=arrow).content
    prune(database, settings)
    assert api.get(f"/runs/{run_id}").json()["pruned"]
    assert readings(api, run_id) == before
    again = api.get(f"/runs/{run_id}/series?keys=alpha_hat&stop=50", headers=arrow).content
    assert again == as_arrow


def test_a_pruned_run_with_a_damaged_file_shows_summaries_and_says_so(
    api: httpx2.Client, run_id: str, post: Post, database: Database, settings: Settings
) -> None:
    fill(run_id, api, post)
    before = readings(api, run_id)
    prune(database, settings)
    (path,) = (settings.archive / run_id).glob("steps-*.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + b"?" + whole[-8:])
    after = readings(api, run_id)
    said = f"the archive of run {run_id} is damaged: {path.name} is not what was archived"
    for place, answer in after.items():
        if "loss nonfinite" in place:  # metrics have a file of their own
            continue
        assert answer["damaged"][0].startswith(said), place
        assert str(settings.archive) not in answer["damaged"][0]
    near = after[
        f"/runs/{run_id}/series?keys=alpha_hat,k,grad_norm&rank=1&layer=&start=3&stop=70&buckets=1200"
    ]
    assert near["step"] == [7, 15, 23, 31, 39, 47, 55, 63, 71]
    # What the metrics' own file holds is still exact.
    of_metric = f"/runs/{run_id}/series?keys=loss&start=3&stop=70"
    assert len(api.get(of_metric).json()["step"]) == 67
    path.write_bytes(whole)
    assert readings(api, run_id) == before


def test_a_pruned_run_with_a_damaged_file_shows_the_tail_of_a_window(
    api: httpx2.Client, run_id: str, post: Post, database: Database, settings: Settings
) -> None:
    counts = encode([5, 20, 60, 15], bits=1, first=220)
    post([{"step": step, "histogram": counts} for step in range(100)])
    api.post(f"/runs/{run_id}/finish", json={})
    prune(database, settings)
    where = f"/runs/{run_id}/tail?step=50"
    exact = api.get(where).json()
    assert (exact["step"], exact["n"], exact["damaged"]) == (50, 100, [])
    for path in (settings.archive / run_id).glob("*.parquet"):
        path.unlink()
    summed = api.get(where).json()
    assert (summed["step"], summed["n"]) == (63, 6400)
    assert "steps-1-" in summed["damaged"][0]
    assert "is missing" in summed["damaged"][0]
    shown = api.get(f"/runs/{run_id}/histograms").json()
    assert (shown["step"], shown["total"], len(shown["damaged"])) == ([63, 99], 100, 1)


def rewritten(file: ArchivedFile, path: Path, *, without: tuple[str, ...] = ()) -> ArchivedFile:
    """The same rows in small groups, as a large file has them."""
    assert file.path is not None
    pq.write_table(pq.read_table(file.path).drop_columns(list(without)), path, row_group_size=37)
    return replace(file, path=path)


def same(one: RawRows, other: RawRows, key: Any, start: int, stop: int, limit: int) -> None:
    columns = ("grad_norm", "alpha_hat", "k") if key.kind is LAYERS else ("value",)
    owner, rows = one.rows(key, start, stop, columns)
    other_owner, other_rows = other.rows(key, start, stop, columns)
    np.testing.assert_array_equal(owner, other_owner)
    for name in ("keys", "at", "rows", "step", "time"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(other_rows, name))
    assert rows.stats.tobytes() == other_rows.stats.tobytes()
    if isinstance(key, SeriesKey):
        assert (one.number(key, start, stop, limit) > limit) == (
            other.number(key, start, stop, limit) > limit
        )
        every, other_every = (
            [[None if x is None else float(x) for x in row] for row in found]  # SQLite has 'NaN'
            for found in (x.attempts(key, start, stop, columns, 10_000) for x in (one, other))
        )
        assert str(every) == str(other_every)
        for attempt in (1, 2):
            asked = {"attempt": attempt, "step": stop, "limit": limit + 1}
            before, other_before = (x.before(key, columns[0], **asked) for x in (one, other))
            np.testing.assert_array_equal(before, other_before)
        if key.kind is LAYERS:
            assert one.histograms(key, start, stop) == other.histograms(key, start, stop)
            assert one.last_histogram(key, stop) == other.last_histogram(key, stop)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_rows_of_a_file_are_those_of_the_database_in_any_range(
    api: httpx2.Client,
    run_id: str,
    post: Post,
    database: Database,
    settings: Settings,
    tmp_path: Path,
) -> None:
    fill(run_id, api, post)
    assert api.post(f"/runs/{run_id}/archive").is_success
    chance = random.Random(3)

    def compare(connection: sa.Connection) -> None:
        stored, run_key = StoredRows(connection), key_of(connection, run_id)
        kinds: tuple[tuple[SeriesKind, str], ...] = ((LAYERS, "steps"), (METRICS, "metrics"))
        for kind, table in kinds:
            (file,) = files_of(connection, runs.c.id == run_id, table, settings.archive)
            CheckedFiles().check(file)
            numbers = name_ids(connection, run_key, kind.name)
            names = {number: name for name, number in numbers.items()}
            archived = ArchivedRows(rewritten(file, tmp_path / table), kind, names)
            for _ in range(100):
                start, length = chance.randrange(STEPS + 20), chance.choice([0, 1, 5, 70, 500])
                some = tuple(chance.sample(sorted(names), chance.randint(1, len(names))))
                rank, limit = chance.randrange(3), chance.randrange(100)
                several = SeriesKeys(kind, run_key, some, rank)
                single = SeriesKey(kind, run_key, some[0], rank)
                for key in (several, single):
                    same(stored, archived, key, start, start + length, limit)

    database.read_now(compare)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_column_that_an_older_file_lacks_was_not_measured(
    api: httpx2.Client,
    run_id: str,
    post: Post,
    database: Database,
    settings: Settings,
    tmp_path: Path,
) -> None:
    fill(run_id, api, post)
    assert api.post(f"/runs/{run_id}/archive").is_success

    def read(connection: sa.Connection) -> Any:
        (file,) = files_of(connection, runs.c.id == run_id, "steps", settings.archive)
        older = rewritten(file, tmp_path / "older", without=("k", "control_alpha"))
        key = SeriesKey(LAYERS, key_of(connection, run_id), 0, 0)
        return ArchivedRows(older, LAYERS, {0: ""}).rows(key, 0, 50, ("k", "alpha_hat"))[1]

    rows = database.read_now(read)
    assert rows.step.tolist() == list(range(50))
    assert not rows.stats[:, 0]["count"].any()
    assert rows.stats[:, 1]["count"].any()
