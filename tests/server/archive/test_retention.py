"""Old rows go to the archive and nowhere else, on SQLite and on Postgres."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from htga.cli.main import app as htga
from htga_client.wire import ARROW_STREAM, PREFIX
from htga_server.app import create_app
from htga_server.archive import housekeeping
from htga_server.archive.housekeeping import Housekeeping
from htga_server.settings import Settings
from htga_server.storage.database import Database
from htga_server.storage.tables import metrics, packs, runs, steps
from tests.support.in_process import InProcess, serving
from tests.support.rows import new_run, probe_rows, stream

Post = Callable[..., httpx2.Response]
DAY = 24 * 3600.0


def prune(database: Database, settings: Settings, *, days: float, **policy: Any) -> None:
    """The chores of a time to come, under a policy."""
    own = settings.model_copy(update=policy)
    then = time.time() + days * DAY
    asyncio.run(Housekeeping(database, own, clock=lambda: then).prune())


def client_of(transport: InProcess) -> httpx2.Client:
    return httpx2.Client(base_url=f"http://127.0.0.1{PREFIX}", transport=transport)


def rows(database: Database, table: sa.Table = steps) -> int:
    count = sa.select(sa.func.count()).select_from(table)
    return database.read_now(lambda connection: connection.scalar(count)) or 0


def test_a_pruned_run_is_shown_and_queried_as_before(
    api: httpx2.Client,
    run_id: str,
    post: Post,
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    post(probe_rows(range(1000)), writer="a" * 36)
    post([{"step": s, "layer": "fc", "alpha_hat": float(s)} for s in range(1000)], writer="b" * 36)
    api.post(f"/runs/{run_id}/finish", json={})
    sql = "SELECT count(*), sum(alpha_hat), count(histogram) FROM steps"
    where = f"/runs/{run_id}"

    def shown() -> list[Any]:
        keys = {"keys": "alpha_hat,loss"}
        ranges = (
            {"buckets": "10"},
            {"buckets": "40", "start": "64", "stop": "960"},
            {"buckets": "20"},
        )
        asked = [api.get(f"{where}/series", params=keys | own).json() for own in ranges]
        asked.append(api.get(f"{where}/layers/map", params={"buckets": 30}).json())
        asked.append(api.get(f"{where}/histograms", params={"buckets": 30}).json())
        asked.append(api.get(f"{where}/tail").json())
        asked.append(api.post("/query", json={"sql": sql}).json())
        return asked

    before = shown()
    monkeypatch.setattr(housekeeping, "ROWS_PER_TRANSACTION", 300)
    prune(database, settings, days=31, keep_days=30.0)
    assert rows(database) == rows(database, metrics) == rows(database, packs) == 0
    after = shown()
    assert after[:-1] == before[:-1]
    assert after[-1]["rows"][0] == pytest.approx(before[-1]["rows"][0])
    run = api.get(where).json()
    assert (run["archived"], run["pruned"]) == (True, True)


def test_a_pruned_run_is_closed_and_what_is_sent_to_it_is_refused(
    api: httpx2.Client, run_id: str, post: Post, database: Database, settings: Settings
) -> None:
    post(probe_rows(range(10)), writer="a" * 36)
    prune(database, settings, days=2, keep_days=1.0)  # never finished, and silent for days: lost
    assert rows(database) == 10
    silent = sa.update(runs).values(updated=runs.c.updated - 3 * DAY)
    database.write_now(lambda connection: connection.execute(silent))
    prune(database, settings, days=0, keep_days=1.0)
    assert rows(database) == 0
    new = new_run(id=run_id)
    refused = [
        post(probe_rows(range(10, 20)), writer="a" * 36, first_seq=10),
        api.post("/runs", json=new | {"writer": str(uuid.uuid4())}),
        api.post(f"/runs/{run_id}/archive"),
    ]
    assert {(one.status_code, one.json()["type"]) for one in refused} == {(409, "run-closed")}
    assert api.post("/query", json={"sql": "SELECT count(*) FROM steps"}).json()["rows"] == [[10]]
    assert api.post("/runs", json=new).status_code == 200


def test_rows_are_kept_as_long_as_their_project_says(
    api: httpx2.Client, database: Database, settings: Settings
) -> None:
    def make(project: str) -> None:
        run = new_run(project=project)
        api.post("/runs", json=run)
        api.post(f"/runs/{run['id']}/rows", json={"rows": [{"step": 1, "alpha_hat": 1.0}]})
        api.post(f"/runs/{run['id']}/finish", json={})

    for project in ("short", "usual", "for ever"):
        make(project)

    def left(days: float, **policy: Any) -> list[str]:
        prune(database, settings, days=days, **policy)
        kept = api.post("/runs", json=new_run()).status_code
        assert kept == 201
        listed = api.get("/runs").json()["items"]
        return sorted(run["project"] for run in listed if run["last_step"] and not run["pruned"])

    policy = {"keep_days": 30.0, "keep_days_of": {"short": 5.0, "for ever": 0.0}}
    assert left(1000) == ["for ever", "short", "usual"]
    assert left(4, **policy) == ["for ever", "short", "usual"]
    assert left(6, **policy) == ["for ever", "usual"]
    assert left(31, **policy) == ["for ever"]


def test_rows_whose_archive_is_damaged_stay(
    api: httpx2.Client, run_id: str, post: Post, database: Database, settings: Settings
) -> None:
    post(probe_rows(range(100)))
    api.post(f"/runs/{run_id}/finish", json={})
    api.post(f"/runs/{run_id}/archive")
    begun = sa.update(runs).values(pruned=1.0, pruning=True)  # interrupted after the archiving
    database.write_now(lambda connection: connection.execute(begun))
    (path,) = (settings.archive / run_id).glob("steps-*.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    prune(database, settings, days=0)
    assert rows(database) == 100
    path.write_bytes(whole)
    prune(database, settings, days=0)
    assert rows(database) == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_command_line_says_what_is_due_and_prunes_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["db", "prune", "--db", settings.url, "--data", str(settings.data)]
    app = create_app(settings)
    database = app.state.database
    with serving(app) as transport, client_of(transport) as api:
        run_id = api.post("/runs", json=new_run()).json()["id"]
        body, kind = stream(probe_rows(range(10))), {"content-type": ARROW_STREAM}
        assert api.post(f"/runs/{run_id}/rows", content=body, headers=kind).is_success
        api.post(f"/runs/{run_id}/finish", json={})
        old = sa.update(runs).values(updated=runs.c.updated - 40 * DAY)
        database.write_now(lambda connection: connection.execute(old))
        assert CliRunner().invoke(htga, command).exit_code == 1
        monkeypatch.setenv("HTGA_KEEP_DAYS_OF", "digits=30")
        said = CliRunner().invoke(htga, [*command, "--dry-run"])
        assert (said.exit_code, "quiet-maple" in said.stdout, rows(database)) == (0, True, 10)
        if database.dialect == "sqlite":
            beside = CliRunner().invoke(htga, command)
            assert (beside.exit_code, "by another collector" in beside.stderr) == (1, True)
    said = CliRunner().invoke(htga, command)
    assert (said.exit_code, "1 of 1 runs" in said.stderr) == (0, True)
    after = Database(settings.url)
    assert rows(after) == 0
    after.close()
