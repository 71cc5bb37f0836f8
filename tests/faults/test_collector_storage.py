"""The collector's disk: full, failing, or cut off from power."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import httpx2
import psutil
import pytest

from htga_client.wire import PREFIX
from htga_server.app import create_app
from htga_server.http.server import Server
from htga_server.settings import Settings
from tests.support.load import CollectorProcess, Load, Writer, lost, recover, running, wait_until
from tests.support.seeded_random import rounds, seeded_random


def meet_error(writer: Writer, client: httpx2.Client) -> None:
    """Send until the collector refuses."""
    wait_until(lambda: not writer.once(client) and bool(writer.answers), 60)


def believe(writer: Writer, client: httpx2.Client) -> int:
    """Send until the collector turns out to have lost rows; how many it had acknowledged."""
    acked = writer.acked
    while writer.once(client):
        acked = writer.acked
    assert writer.answers[-1]["type"] == "sequence-gap"
    return acked


POWER_CUT = """
set -e
mount -o loop "$1" "$2"
exec "${@:3}"
"""


def test_a_full_disk_is_answered_with_patience_and_reading_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        load = Load(collector.url)
        writer = load.writers[0]
        assert collector.process is not None
        pid = collector.process.pid
        with httpx2.Client(timeout=10) as client:
            writer.register()
            for _ in range(5):
                assert writer.once(client)
            soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            full = max(path.stat().st_size for path in tmp_path.glob("htga.db*"))
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (full, hard))
            wait_until(lambda: not writer.once(client))
            refused = writer.answers[-1]
            assert (refused["status"], int(refused["retry-after"]) > 0) == (503, True)
            kept = client.get(f"{writer.api}/runs/{writer.run_id}").json()
            assert kept["last_step"] == writer.acked - 1
            ready = client.get(f"{collector.url}/healthz")
            assert ready.status_code == 200
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
            wait_until(lambda: writer.once(client))
        load.highest[0] = writer.acked
        assert lost(collector.url, load) == 0
    assert set(writer.statuses) == {200, 503}


def test_control_a_collector_that_is_deaf_to_its_disk_loses_rows(tmp_path: Path) -> None:
    with running(tmp_path, "deaf") as collector:
        load = Load(collector.url)
        writer = load.writers[0]
        assert collector.process is not None
        pid = collector.process.pid
        with httpx2.Client(timeout=10) as client:
            writer.register()
            assert writer.once(client)
            full = max(path.stat().st_size for path in tmp_path.glob("htga.db*"))
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (full, hard))
            load.highest[0] = believe(writer, client)
        assert lost(collector.url, load) > 0


def test_no_room_is_told_apart_from_other_trouble(settings_on_sqlite: Settings) -> None:
    app = create_app(settings_on_sqlite)
    with Server(app).background() as server, httpx2.Client(timeout=10) as client:
        writer = Writer(server.url + PREFIX)
        writer.register()
        assert writer.once(client)
        pages = "PRAGMA max_page_count = {}"
        database = app.state.database
        used = database.write_now(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
        database.write_now(lambda c: c.exec_driver_sql(pages.format(used)).scalar())
        wait_until(lambda: not writer.once(client))
        assert writer.answers[-1]["type"] == "storage-full"
        assert writer.answers[-1]["retry-after"] == "60"
        # The connection that met the error was given up, and with it the limit.
        wait_until(lambda: writer.once(client))


@pytest.fixture
def settings_on_sqlite(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path)


needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="needs strace to fail a system call"
)


def lost_to_a_failing_disk(folder: Path, when: int, *sabotage: str) -> int:
    """Acknowledged rows that are missing after syncs failed and the collector was killed."""
    until = when if sabotage else when + 3
    inject = f"inject=fsync,fdatasync:error=EIO:when={when}..{until}"
    tracing = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync")
    with running(folder, *sabotage, before=(*tracing, "-e", inject)) as collector:
        load = Load(collector.url)
        writer = load.writers[0]
        with httpx2.Client(timeout=20) as client:
            writer.register()
            if sabotage:
                load.highest[0] = believe(writer, client)
                # What the failed commit left in the log is found again, unless it is written over.
                Writer(writer.api).register()
            else:
                meet_error(writer, client)
                assert writer.answers[-1]["status"] == 503
                recover(writer, client)
                load.highest[0] = writer.acked
        assert collector.process is not None
        children = psutil.Process(collector.process.pid).children()
        children[0].kill()
    with running(folder) as collector:
        return lost(collector.url, load)


@needs_strace
def test_after_an_error_of_the_disk_nothing_is_acknowledged_that_is_not_stored(
    tmp_path: Path,
) -> None:
    chance = seeded_random()
    for number in range(rounds(1, 20)):
        assert lost_to_a_failing_disk(tmp_path / str(number), chance.randint(40, 60)) == 0


@needs_strace
def test_control_a_collector_that_passes_over_an_error_of_the_disk_loses_rows(
    tmp_path: Path,
) -> None:
    assert lost_to_a_failing_disk(tmp_path, 50, "deaf") > 0


def cut(folder: Path, chance: random.Random, cuts: int, *sabotage: str) -> int:
    """Acknowledged rows lost over some cuts of the power to the database's file system.

    The file system lives in a file. The collector is halted in mid-air and that file copied: what
    the copy holds is what a disk would hold that had been told to sync so far and no further.
    """
    missing = 0
    for number in range(cuts):
        image, copy = folder / f"{number}.img", folder / f"{number}.copy"
        with image.open("wb") as file:
            file.truncate(64 * 2**20)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
        mounted = folder / f"{number}.mounted"
        mounted.mkdir()

        def on(
            disk: Path, mounted: Path = mounted, sabotage: tuple[str, ...] = sabotage
        ) -> CollectorProcess:
            inside = ("bash", "-c", POWER_CUT, "_", str(disk), str(mounted))
            return CollectorProcess(mounted / "data", *sabotage, before=("unshare", "-m", *inside))

        collector = on(image)
        collector.start()
        load = Load(collector.url)
        writer = load.writers[0]
        with httpx2.Client(timeout=20) as client:
            writer.register()
            for _ in range(chance.randint(10, 40)):
                assert writer.once(client)
        load.highest[0] = writer.acked
        assert collector.process is not None
        collector.process.send_signal(signal.SIGSTOP)
        shutil.copy(image, copy)
        collector.kill()
        again = on(copy)
        try:
            again.start()
            missing += lost(again.url, load)
        except (AssertionError, httpx2.HTTPError):
            if not sabotage:
                raise
            missing += writer.acked
        finally:
            again.kill()
        image.unlink()
        copy.unlink()
    return missing


def can_mount() -> bool:
    tools = all(shutil.which(tool) for tool in ("unshare", "mkfs.ext4", "mount"))
    return tools and os.geteuid() == 0


needs_root = pytest.mark.skipif(not can_mount(), reason="needs root, to mount a file system")


@needs_root
def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    assert cut(tmp_path, seeded_random(), rounds(2, 50)) == 0


@needs_root
def test_control_a_collector_that_does_not_wait_for_the_disk_loses_rows_at_a_power_cut(
    tmp_path: Path,
) -> None:
    assert cut(tmp_path, seeded_random(), 1, "unsynced") > 0
