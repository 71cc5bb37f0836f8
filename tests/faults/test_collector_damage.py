"""The collector's SQLite file: damaged, or without its log."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from htga_client.wire import PREFIX
from htga_server.migrate import migrate
from htga_server.storage.database import Database
from tests.support.load import ROOT, Load, Writer, lost, recover, running
from tests.support.processes import Collector, collecting
from tests.support.rows import new_run


def damage(path: Path, start: int, pages: int) -> bytes:
    """Overwrite pages of a database at rest, and return what it is now."""
    with sqlite3.connect(path) as plain:
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[start : start + 4096 * pages] = random.Random(1).randbytes(4096 * pages)
    path.write_bytes(data)
    return bytes(data)


def test_control_a_collector_that_trusts_any_file_writes_to_a_damaged_one(tmp_path: Path) -> None:
    with running(tmp_path) as collector, Load(collector.url) as load:
        load.wait_for_more(400)
    path = tmp_path / "htga.db"
    before = damage(path, path.stat().st_size - 4096 * 5, 5)
    with running(tmp_path, "trusting") as collector:
        writer = Writer(collector.url + PREFIX)
        writer.register()
    with sqlite3.connect(path) as plain:
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.read_bytes() != before


def up(data: Path) -> subprocess.CompletedProcess[str]:
    """What `htga up` says before it ends."""
    command = [sys.executable, "-m", "htga.cli.main", "up", "--no-dashboard", "--port", "0"]
    return subprocess.run(
        [*command, "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


@pytest.mark.parametrize("what", ["a page", "the header"])
def test_a_damaged_database_is_not_written_to_and_the_way_out_is_said(
    tmp_path: Path, what: str
) -> None:
    with running(tmp_path) as collector, Load(collector.url) as load:
        load.wait_for_more(400)
    path = tmp_path / "htga.db"
    data = damage(path, 0 if what == "the header" else 4096 * 3, 5)
    ended = up(tmp_path)
    assert ended.returncode == 1
    assert "damaged" in ended.stderr
    assert "backup" in ended.stderr
    assert path.read_bytes() == data


def test_damage_while_it_runs_is_never_acknowledged_over(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        with Load(collector.url) as load:
            load.wait_for_more(400)
        writer = load.writers[0]
        with sqlite3.connect(tmp_path / "htga.db") as plain:
            plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with (tmp_path / "htga.db").open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(4096)
            file.write(random.Random(2).randbytes(size - 4096))
        acked = writer.acked
        deadline = time.monotonic() + 5
        with httpx2.Client(timeout=10) as client:
            other = Writer(writer.api, run_id=writer.run_id)
            while time.monotonic() < deadline and not other.answers:
                if other.once(client):
                    continue
        assert other.answers, "damage went unnoticed"
        assert other.answers[-1]["status"] == 503
        assert acked == writer.acked


LOGS = [("htga.db-wal",), ("htga.db-shm",), ("htga.db-wal", "htga.db-shm")]


def lost_with_the_log(folder: Path, files: tuple[str, ...], *sabotage: str) -> int:
    """Acknowledged rows that are missing after its log was deleted and the collector killed."""
    with running(folder, *sabotage) as collector:
        load = Load(collector.url)
        writer = load.writers[0]
        with httpx2.Client(timeout=30) as client:
            writer.register()
            for _ in range(20):
                recover(writer, client)
            for name in files:
                (folder / name).unlink()
            for _ in range(5):
                recover(writer, client)
            load.highest[0] = writer.acked
            said = set(writer.statuses)
    with running(folder) as collector:  # after a kill -9
        missing = lost(collector.url, load)
    print(f"{writer.acked} acknowledged, {missing} lost, answers {said}")
    assert said <= {200, 503}
    return missing


@pytest.mark.parametrize("files", LOGS, ids=" and ".join)
def test_a_log_that_is_deleted_under_a_collector_takes_nothing_that_was_acknowledged(
    tmp_path: Path, files: tuple[str, ...]
) -> None:
    assert lost_with_the_log(tmp_path, files) == 0


def test_while_someone_reads_a_deleted_log_nothing_is_acknowledged(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        load = Load(collector.url)
        writer = load.writers[0]
        with httpx2.Client(timeout=60) as client:
            writer.register()
            recover(writer, client)
            reader = sqlite3.connect(f"file:{tmp_path / 'htga.db'}?mode=ro", uri=True)
            reader.execute("BEGIN")
            before = reader.execute("SELECT count(*) FROM steps").fetchone()
            recover(writer, client)
            (tmp_path / "htga.db-wal").unlink()
            assert not writer.once(client)
            assert writer.answers[-1]["status"] == 503
            assert "log" in writer.answers[-1]["detail"]
            assert reader.execute("SELECT count(*) FROM steps").fetchone() == before
            reader.close()
            recover(writer, client)
        load.highest[0] = writer.acked
    with running(tmp_path) as collector:
        assert lost(collector.url, load) == 0


def test_control_a_collector_that_does_not_watch_its_log_loses_rows(tmp_path: Path) -> None:
    assert lost_with_the_log(tmp_path, LOGS[2], "unwatchful") > 0


def test_a_log_that_is_deleted_while_nobody_runs_is_missed_and_the_way_out_is_said(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as collector, Load(collector.url) as load:
        load.wait_for_more(400)
    log, index = tmp_path / "htga.db-wal", tmp_path / "htga.db-shm"
    before, kept = (tmp_path / "htga.db").read_bytes(), log.read_bytes()
    log.unlink()
    ended = up(tmp_path)
    assert ended.returncode == 1
    assert all(word in ended.stderr for word in (str(log), "missing", "backup", str(index)))
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "htga.db").read_bytes() == before
    log.write_bytes(kept)  # put back, as it says
    with running(tmp_path) as collector:
        assert lost(collector.url, load) == 0


def test_a_database_behind_a_link_has_its_log_where_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "htga.db").touch()
    (tmp_path / "htga.db").symlink_to(tmp_path / "disk" / "htga.db")
    database = Database(f"sqlite:///{tmp_path / 'htga.db'}")
    database.check()
    migrate(database)
    assert (tmp_path / "disk" / "htga.db-wal").exists()
    assert "was deleted" not in caplog.text
    database.close()


def test_a_collector_that_ended_by_itself_and_was_backed_up_since_begins_again(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    collector = Collector(data, "--no-dashboard")
    assert httpx2.post(f"{collector.url}{PREFIX}/runs", json=new_run()).is_success
    collector.end()
    command = [sys.executable, "-m", "htga.cli.main", "db", "backup", str(tmp_path / "copy.db")]
    subprocess.run([*command, "--data", str(data)], check=True, cwd=ROOT, capture_output=True)
    with collecting(data, "--no-dashboard") as again:
        assert len(httpx2.get(f"{again.url}{PREFIX}/runs").json()["items"]) == 1
