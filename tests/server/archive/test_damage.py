"""Whatever happens to a file of the archive, no query answers with other rows than it had."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from htga.cli.main import app
from htga_client.wire import ARROW_STREAM
from htga_client.wire.readings import LEFT_OUT
from htga_server.archive import parquet
from htga_server.archive.housekeeping import Housekeeping
from htga_server.http.server import Server
from htga_server.problems import Conflict
from htga_server.settings import Settings
from htga_server.storage.tables import archive_files, metrics, runs, steps
from tests.support.rows import new_run

SUM = "SELECT count(*), sum(alpha_hat) FROM steps"
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def archived(api: httpx2.Client, database: Any) -> list[str]:
    """The ids of two runs of ten and twenty steps whose rows are in the archive alone."""
    found = []
    for count in (10, 20):
        run = new_run()
        api.post("/runs", json=run)
        rows = [
            {"step": i, "alpha_hat": float(count + i), "metrics": {"loss": 1.0}}
            for i in range(count)
        ]
        api.post(f"/runs/{run['id']}/rows", json={"rows": rows})
        api.post(f"/runs/{run['id']}/finish", json={})
        assert api.post(f"/runs/{run['id']}/archive").status_code == 200
        found.append(run["id"])
    for table in (steps, metrics):
        database.write_now(lambda connection, table=table: connection.execute(sa.delete(table)))
    return found


def files(settings: Settings, run_id: str) -> dict[str, Path]:
    """The files of a run by table."""
    return {path.name.partition("-")[0]: path for path in (settings.archive / run_id).glob("*.p*")}


def shrunk(path: Path, **columns: float) -> None:
    """Replace a file by valid Parquet with other rows."""
    table = pq.read_table(path)
    for name, value in columns.items():
        at = table.schema.names.index(name)
        table = table.set_column(at, name, pa.array([value] * table.num_rows))
    pq.write_table(table if columns else table.slice(0, 3), path)


def flip(path: Path, at: int) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def link(path: Path, to: Path) -> None:
    """Replace a file or a folder by a link."""
    path.rename(path.with_name("away"))
    path.symlink_to(to)


def make_folder(path: Path) -> None:
    """Replace a file by a folder."""
    path.unlink()
    path.mkdir()


Damage = Callable[[Path, Path], object]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "it is removed": (lambda own, _: own.rename(own.with_name("away")), "is missing"),
    "its folder is removed": (lambda own, _: shutil.rmtree(own.parent), "is missing"),
    "it is emptied": (lambda own, _: own.write_bytes(b""), "has 0 bytes"),
    "it is cut off": (lambda own, _: os.truncate(own, own.stat().st_size - 1), "bytes instead of"),
    "a bit of a page flips": (lambda own, _: flip(own, 40), "another hash"),
    "a bit of the footer flips": (lambda own, _: flip(own, -20), "another hash"),
    "another run's file is in its place": (lambda own, other: shutil.copy(other, own), "instead"),
    "it has other rows": (lambda own, _: shrunk(own), "bytes instead of"),
    "it has other values": (lambda own, _: shrunk(own, alpha_hat=0.0), "another hash|instead of"),
    "it is a link to another": (link, "symbolic link"),
    "it is a folder": (lambda own, _: make_folder(own), "is no file"),
    "the folder is a link": (lambda own, other: link(own.parent, other.parent), "symbolic link"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_reads_a_damaged_file_is_refused_by_its_name_and_nothing_else_is(
    damage: str, api: httpx2.Client, archived: list[str], settings: Settings
) -> None:
    assert api.post("/query", json={"sql": SUM}).json()["rows"] == [[30, 735.0]]
    first, second = archived
    own = files(settings, first)["steps"]
    harm, word = DAMAGES[damage]
    harm(own, files(settings, second)["steps"])
    refused = api.post("/query", json={"sql": SUM})
    assert (refused.status_code, refused.json()["type"]) == (503, "archive-damaged"), refused.text
    detail = refused.json()["detail"]
    assert first in detail
    assert "steps-1-" in detail
    assert any(part in detail for part in word.split("|")), detail
    assert str(settings.archive) not in refused.text
    # Whatever does not read it is answered.
    good = [
        ("SELECT count(*) FROM runs", [[2]]),
        (f"SELECT count(*) FROM steps WHERE run_id = '{second}'", [[20]]),  # noqa: S608
    ]
    if "folder" not in damage or "it is" in damage:
        good.append(("SELECT count(*) FROM metrics", [[30]]))
    for sql, rows in good:
        assert api.post("/query", json={"sql": sql}).json()["rows"] == rows
    partly = api.post("/query?skip_damaged=1", json={"sql": SUM})
    assert partly.json()["rows"] == [[20, 590.0]]
    assert partly.json()["left_out"] == [detail]
    arrow = api.post(
        "/query?skip_damaged=1", json={"sql": SUM}, headers={"accept": ARROW_STREAM}
    ).content
    told = pa.ipc.open_stream(arrow).read_all().schema.metadata
    assert json.loads(told[LEFT_OUT]) == [detail]
    faults = api.get(f"/archive/{first}/faults").json()["faults"]
    assert detail in faults
    assert api.get(f"/archive/{second}/faults").json()["faults"] == []


def test_a_file_that_is_changed_while_its_size_and_time_stay_is_found_by_reading_it_again(
    api: httpx2.Client, archived: list[str], settings: Settings
) -> None:
    path = files(settings, archived[0])["steps"]
    assert api.post("/query", json={"sql": SUM}).status_code == 200
    before = path.stat()
    flip(path, 40)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (fault,) = api.get(f"/archive/{archived[0]}/faults").json()["faults"]
    assert "another hash" in fault


def test_a_run_of_before_the_catalog_is_read_by_its_manifest_and_missed_by_name_without(
    api: httpx2.Client, archived: list[str], settings: Settings, database: Any
) -> None:
    """As older versions left it: files without a generation, and nothing in the database."""
    run_id = archived[0]
    folder = settings.archive / run_id
    manifest = json.loads((folder / "manifest.json").read_text())
    names = {kind: path.rename(folder / f"{kind}.parquet") for kind, path in
             files(settings, run_id).items()}  # fmt: skip
    old = {
        **{name: manifest[name] for name in ("run_id", "rows", "created", "run")},
        "files": {
            path.name: manifest["files"][manifest["tables"][kind]] for kind, path in names.items()
        },
    }
    (folder / "manifest.json").write_text(json.dumps(old))
    key = sa.select(runs.c.run_key).where(runs.c.id == run_id).scalar_subquery()
    forget = sa.delete(archive_files).where(archive_files.c.run_key == key)
    database.write_now(lambda connection: connection.execute(forget))
    assert api.post("/query", json={"sql": SUM}).json()["rows"] == [[30, 735.0]]
    assert api.get(f"/archive/{run_id}/faults").json()["faults"] == []
    other = folder.with_name(archived[1]) / "manifest.json"
    for broken in (None, "{", "[]", "[" * 100_000, '{"run_id": 3}', other.read_text()):
        if broken is None:
            (folder / "manifest.json").unlink()
        else:
            (folder / "manifest.json").write_text(broken)
        refused = api.post("/query", json={"sql": SUM})
        assert refused.status_code == 503, refused.text
        assert run_id in refused.json()["detail"]
        assert "manifest" in refused.json()["detail"]


def test_an_archive_that_is_gone_is_said_and_its_runs_are_not_taken_for_empty(
    api: httpx2.Client, archived: list[str], settings: Settings
) -> None:
    shutil.rmtree(settings.archive)
    refused = api.post("/query", json={"sql": SUM})
    assert (refused.status_code, archived[0] in refused.text) == (503, True)
    assert api.post("/query", json={"sql": "SELECT count(*) FROM runs"}).json()["rows"] == [[2]]


def test_files_that_no_catalog_names_go_after_a_while_and_damage_is_logged(
    api: httpx2.Client,
    archived: list[str],
    settings: Settings,
    database: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    left = settings.archive / archived[0] / "steps-1-older.parquet"
    left.write_bytes(b"of a process that was killed")

    def verify(later: float) -> None:
        chores = Housekeeping(database, settings, clock=lambda: time.time() + later)
        asyncio.run(chores.verify())

    verify(60)
    assert left.exists()
    verify(2 * 3600)
    assert not left.exists()
    assert caplog.text == ""
    assert api.post("/query", json={"sql": SUM}).json()["rows"] == [[30, 735.0]]
    flip(files(settings, archived[1])["metrics"], 40)
    verify(0)
    assert f"the archive of run {archived[1]} is damaged: metrics-1-" in caplog.text


def test_what_is_damaged_is_in_the_status_and_the_metrics_until_it_is_sound_again(
    archived: list[str], api: httpx2.Client, collector: Server, settings: Settings, database: Any
) -> None:
    chores = Housekeeping(database, settings, collector._app.state.verification)

    def said() -> tuple[int, list[str], str]:
        asyncio.run(chores.verify())
        status = api.get("/status").json()
        metrics = api.get(f"{collector.url}/metrics").text
        (line,) = [one for one in metrics.splitlines() if one.startswith("htga_archive_damaged")]
        return status["archive_damaged"], status["archive_faults"], line.split()[1]

    assert said() == (0, [], "0.0")
    path = files(settings, archived[0])["steps"]
    flip(path, 40)
    files(settings, archived[1])["metrics"].unlink()
    number, faults, gauge = said()
    assert (number, gauge) == (2, "2.0")
    assert {run_id in " ".join(faults) for run_id in archived} == {True}
    flip(path, 40)
    api.delete(f"/runs/{archived[1]}")
    assert said()[:2] == (0, [])


def test_archived_runs_are_listed_in_pages(archived: list[str], api: httpx2.Client) -> None:
    first = api.get("/archive?limit=1").json()
    second = api.get(f"/archive?limit=1&cursor={first['next']}").json()
    assert [first["items"], second["items"], second["next"]] == [archived[:1], archived[1:], None]
    assert api.get("/archive").json() == {"items": archived, "next": None}
    assert api.get("/archive?cursor=x").status_code == 422


def test_the_command_line_names_the_fault_and_exits_with_1(
    archived: list[str], collector: Server, settings: Settings
) -> None:
    where = ["--url", collector.url]
    good = CliRunner().invoke(app, ["archive", "verify", "--all", *where])
    assert (good.exit_code, good.stdout.count("is what was archived")) == (0, 2)
    files(settings, archived[0])["steps"].unlink()
    bad = CliRunner().invoke(app, ["archive", "verify", "--all", *where])
    assert (bad.exit_code, "1 of 2 archived runs are damaged" in bad.stderr) == (1, True)
    assert re.search(f"archive of run {archived[0]} is damaged: steps-1-\\w+.parquet", bad.stdout)
    refused = CliRunner().invoke(app, ["query", SUM, *where])
    assert (refused.exit_code, archived[0] in refused.stderr) == (1, True)
    partly = CliRunner().invoke(app, ["query", SUM, "--csv", "--skip-damaged", *where])
    assert (partly.exit_code, partly.stdout.splitlines()[1]) == (0, "20,590.0")
    assert "left out: the archive of run" in partly.stderr


def test_a_run_that_is_archived_again_has_its_new_rows_and_its_old_files_until_they_go(
    api: httpx2.Client, settings: Settings
) -> None:
    run = new_run()
    api.post("/runs", json=run)
    for step in range(3):
        row = {"step": step, "alpha_hat": 1.0}
        api.post(f"/runs/{run['id']}/rows", json={"rows": [row]})
        api.post(f"/runs/{run['id']}/finish", json={})
        assert api.post(f"/runs/{run['id']}/archive").json()["rows"]["steps"] == step + 1
        assert api.post("/query", json={"sql": "SELECT count(*) FROM steps"}).json()["rows"] == [
            [step + 1]
        ]
    names = sorted(path.name for path in (settings.archive / run["id"]).glob("steps-*"))
    assert [name.split("-")[1] for name in names] == ["1", "2", "3"]


def test_a_run_that_gets_a_row_while_it_is_written_is_not_taken_for_archived(
    api: httpx2.Client, settings: Settings, database: Any
) -> None:
    run = new_run()
    api.post("/runs", json=run)
    send = {"rows": [{"step": 1, "alpha_hat": 1.0}]}
    api.post(f"/runs/{run['id']}/rows", json=send)
    api.post(f"/runs/{run['id']}/finish", json={})
    write = partial(parquet.write_run, run_id=run["id"], folder=settings.archive)
    written = database.read_now(write)
    send = {"rows": [{"step": 2, "alpha_hat": 1.0}]}
    api.post(f"/runs/{run['id']}/rows", json=send)
    commit = partial(parquet.commit_run, written=written)
    with pytest.raises(Conflict, match="has changed while it was archived"):
        database.write_now(commit)
    assert api.get(f"/runs/{run['id']}").json()["archived"] is False
    assert api.post(f"/runs/{run['id']}/archive").json()["rows"]["steps"] == 2
