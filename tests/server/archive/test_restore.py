"""The rows of a pruned run come back into the database as they were."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from htga_server.archive import restore
from htga_server.archive.archived_files import CheckedFiles
from htga_server.archive.housekeeping import Housekeeping
from htga_server.settings import Settings
from htga_server.storage.database import Database
from htga_server.storage.tables import metrics, packs, steps
from htga_server.timeseries.histogram_blocks import decode_items
from tests.support.archived_run import fill, prune, readings

Post = Callable[..., httpx2.Response]


def stored(database: Database) -> dict[str, Any]:
    """All rows and histograms, as text: NaN is equal to itself."""

    def read(connection: sa.Connection) -> dict[str, Any]:
        rows = {
            table.name: sorted(map(str, connection.execute(sa.select(table)).all()))
            for table in (steps, metrics)
        }
        blobs = {}
        for *place, first, attempt, data in connection.execute(sa.select(packs)):
            for step, blob in decode_items(first, bytes(data)):
                blobs[*place, step, attempt] = blob
        return rows | {"histograms": blobs}

    return database.read_now(read)


def test_restored_rows_are_those_that_were_pruned_and_the_run_goes_on(
    api: httpx2.Client,
    run_id: str,
    post: Post,
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(restore, "ROWS_PER_TRANSACTION", 300)
    fill(run_id, api, post)
    before, rows = readings(api, run_id), stored(database)
    asked = api.get(f"/runs/{run_id}").json()
    prune(database, settings)
    assert not any(stored(database).values())
    assert api.post(f"/runs/{run_id}/restore-rows").json() == asked | {"archived": True}
    assert stored(database) == rows
    assert readings(api, run_id) == before
    again = api.post(f"/runs/{run_id}/restore-rows")
    assert (again.status_code, again.json()["type"]) == (409, "conflict")
    new = [{"step": step, "alpha_hat": 2.0} for step in range(405, 500)]
    assert api.post(f"/runs/{run_id}/rows", json={"rows": new}).is_success
    series = api.get(f"/runs/{run_id}/series?keys=alpha_hat&start=300").json()
    assert series["step"] == list(range(300, 500))
    assert series["keys"]["alpha_hat"]["last"][-95:] == [2.0] * 95


def test_restored_rows_are_kept_as_long_as_new_ones(
    api: httpx2.Client, run_id: str, post: Post, database: Database, settings: Settings
) -> None:
    post([{"step": 1, "alpha_hat": 1.0}])
    api.post(f"/runs/{run_id}/finish", json={})
    prune(database, settings)
    day = 24 * 3600.0
    api.post(f"/runs/{run_id}/restore-rows")
    own = settings.model_copy(update={"keep_days": 1.0})
    for days, rows in ((0.9, 1), (1.1, 0)):
        then = time.time() + days * day
        asyncio.run(Housekeeping(database, own, clock=partial(float, then)).prune())
        assert len(stored(database)["steps"]) == rows


def test_a_restoration_that_is_interrupted_changes_no_answer_and_can_be_repeated(
    api: httpx2.Client,
    run_id: str,
    post: Post,
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(restore, "ROWS_PER_TRANSACTION", 300)
    fill(run_id, api, post)
    before, rows = readings(api, run_id), stored(database)
    count = {"sql": "SELECT count(*), count(histogram) FROM all_steps"}
    counted = api.post("/query", json=count).json()
    prune(database, settings)
    real, calls = restore._insert, []

    def failing(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        if len(calls) > 2:
            raise OSError("the disk is full")
        real(*args, **kwargs)

    monkeypatch.setattr(restore, "_insert", failing)
    with pytest.raises(OSError, match="full"):
        asyncio.run(restore.restore_rows(database, run_id, settings.archive, CheckedFiles()))
    assert 0 < len(stored(database)["steps"]) < len(rows["steps"])
    assert readings(api, run_id) == before
    assert api.post("/query", json=count).json() == counted
    monkeypatch.setattr(restore, "_insert", real)
    assert api.post(f"/runs/{run_id}/restore-rows").is_success
    assert stored(database) == rows


def test_nothing_is_restored_from_a_damaged_file(
    api: httpx2.Client, run_id: str, post: Post, database: Database, settings: Settings
) -> None:
    post([{"step": 1, "alpha_hat": 1.0, "metrics": [("loss", 1.0)]}])
    api.post(f"/runs/{run_id}/finish", json={})
    prune(database, settings)
    (path,) = (settings.archive / run_id).glob("metrics-*.parquet")
    path.write_bytes(b"PAR1")
    refused = api.post(f"/runs/{run_id}/restore-rows")
    assert (refused.status_code, refused.json()["type"]) == (503, "archive-damaged")
    assert path.name in refused.json()["detail"]
    assert not any(stored(database).values())
    assert api.post("/runs/none/restore-rows").status_code == 404
