"""Deleted runs, on SQLite and on Postgres."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from htga_server.archive import housekeeping
from htga_server.archive.housekeeping import Housekeeping
from htga_server.http.server import Server
from htga_server.settings import Settings
from htga_server.storage.database import Database
from htga_server.storage.tables import RUN_TABLES, runs
from tests.support.rows import probe_rows

Post = Callable[..., httpx2.Response]
HOUR = 3600.0


@pytest.fixture
def database(collector: Server) -> Database:
    found: Database = collector._app.state.database
    return found


def keep_house(database: Database, settings: Settings, *, hours: float) -> None:
    """The chores of a time to come."""
    then = time.time() + hours * HOUR
    asyncio.run(Housekeeping(database, settings, clock=lambda: then).run_once())


def stored(database: Database) -> dict[str, int]:
    def count(connection: sa.Connection) -> dict[str, int]:
        number = sa.select(sa.func.count())
        tables = (runs, *RUN_TABLES)
        return {t.name: connection.scalar(number.select_from(t)) or 0 for t in tables}

    return database.read_now(count)


def test_a_deleted_run_is_in_no_answer(api: httpx2.Client, run_id: str, post: Post) -> None:
    post(probe_rows(range(3)), writer=str(uuid.uuid4()))
    api.post(f"/runs/{run_id}/finish", json={})
    api.post(f"/runs/{run_id}/archive")
    where = f"/runs/{run_id}"
    reads = ["", "/series?keys=loss", "/histograms", "/tail", "/layers", "/events", "/gaps"]
    assert all(api.get(where + path).status_code == 200 for path in reads)
    assert api.delete(where).status_code == 204
    assert {api.get(where + path).status_code for path in reads} == {404}
    assert api.patch(where, json={"name": "x"}).status_code == 404
    assert api.post(f"{where}/archive").status_code == 404
    assert api.delete(where).status_code == 404
    assert api.get("/runs").json()["items"] == api.get("/archive").json()["items"] == []
    count = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM steps)"
    assert api.post("/query", json={"sql": count}).json()["rows"] == [[0, 0]]


def test_a_restored_run_is_as_if_nothing_had_happened(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    post(probe_rows(range(3)))
    before = api.get(f"/runs/{run_id}").json()
    api.delete(f"/runs/{run_id}")
    assert api.post(f"/runs/{run_id}/restore").json() == before
    assert api.get(f"/runs/{run_id}").json() == before
    assert api.post(f"/runs/{run_id}/restore").json() == before
    assert api.post(f"/runs/{uuid.uuid4()}/restore").status_code == 404


def test_a_run_that_is_deleted_while_it_runs_misses_no_row_when_it_comes_back(
    api: httpx2.Client, run_id: str, post: Post
) -> None:
    writer = str(uuid.uuid4())
    post(probe_rows(range(3)), writer=writer)
    api.delete(f"/runs/{run_id}")
    again = api.post("/runs", json={"id": run_id, "project": "digits", "name": "n"})
    assert again.status_code == 200
    assert post(probe_rows(range(3, 6)), writer=writer, first_seq=3).json()["accepted"] == 3
    assert api.get(f"/runs/{run_id}").status_code == 404
    api.post(f"/runs/{run_id}/restore")
    shown = api.get(f"/runs/{run_id}/series", params={"keys": "loss"}).json()
    assert shown["step"] == list(range(6))


def test_a_deleted_run_is_purged_when_its_time_is_over_and_no_other_is(
    api: httpx2.Client,
    run_id: str,
    post: Post,
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other: dict[str, Any] = {"id": str(uuid.uuid4()), "project": "digits", "name": "n"}
    api.post("/runs", json=other)
    empty = stored(database)
    post(probe_rows(range(200)), writer=str(uuid.uuid4()))
    api.post(f"/runs/{run_id}/finish", json={})
    api.post(f"/runs/{run_id}/archive")
    api.delete(f"/runs/{run_id}")
    full = stored(database)
    keep_house(database, settings, hours=settings.undo_hours - 0.1)
    assert stored(database) == full
    monkeypatch.setattr(housekeeping, "ROWS_PER_TRANSACTION", 64)  # several chunks of steps
    keep_house(database, settings, hours=settings.undo_hours + 0.1)
    assert stored(database) == empty | {"runs": 1}
    assert [run["id"] for run in api.get("/runs").json()["items"]] == [other["id"]]
    assert list(settings.archive.iterdir()) == []
    assert api.post(f"/runs/{run_id}/restore").status_code == 404


def test_a_run_that_is_still_written_to_is_not_purged(
    api: httpx2.Client, run_id: str, post: Post, database: Database, settings: Settings
) -> None:
    api.delete(f"/runs/{run_id}")
    long_ago = sa.update(runs).values(deleted=runs.c.deleted - 100 * HOUR)
    database.write_now(lambda connection: connection.execute(long_ago))
    post(probe_rows(range(3)))
    keep_house(database, settings, hours=1)
    assert api.post(f"/runs/{run_id}/restore").json()["last_step"] == 2


def test_who_sends_to_a_run_that_is_being_purged_is_put_off(
    api: httpx2.Client, run_id: str, post: Post, database: Database, settings: Settings
) -> None:
    post(probe_rows(range(3)))
    api.delete(f"/runs/{run_id}")
    half = sa.update(runs).values(purging=True)
    database.write_now(lambda connection: connection.execute(half))
    new = {"id": run_id, "project": "digits", "name": "n"}
    answers = [
        post(probe_rows(range(3, 6))),
        api.post("/runs", json=new),
        api.post(f"/runs/{run_id}/restore"),
    ]
    assert {(answer.status_code, answer.json()["type"]) for answer in answers} == {(503, "busy")}
    keep_house(database, settings, hours=0)  # continues what was begun
    assert api.post("/runs", json=new).status_code == 201
    assert api.get(f"/runs/{run_id}").json()["last_step"] is None
