"""The disk of the training machine is full, and has room again later."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from htga_client.sender.sender import Sender
from htga_client.spool.segment import Segment
from htga_client.spool.spool import Spool
from tests.support.faulty_collector import FaultyCollector
from tests.support.processes import ROOT
from tests.support.seeded_random import LONG
from tests.support.senders import end, open_sender, put


@pytest.fixture
def small_files() -> Iterator[int]:
    """A limit of the system on the size of a file, which cuts a write short as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = 30_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


@pytest.fixture
def sender(
    faulty: FaultyCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sender]:
    monkeypatch.setattr("htga_client.spool.disk_backoff.RETRY_SECONDS", 0.01)
    faulty.stop()
    made = open_sender(faulty.url, tmp_path / "spool")
    yield made
    end(made)


def put_in_many_frames(sender: Sender, count: int) -> None:
    for step in range(count):
        put(sender, 1, first=step)
        if step % 5 == 0:
            sender.flush(0.0)  # does not wait, but lets the writer see few rows at once
            wait_until_written(sender)


def wait_until_written(sender: Sender) -> None:
    mark = sender._queue.mark()
    assert mark.passed.wait(20)


@pytest.mark.usefixtures("small_files")
def test_writes_that_are_cut_short_lose_nothing(sender: Sender, faulty: FaultyCollector) -> None:
    put_in_many_frames(sender, 300)
    faulty.start()
    assert sender.flush(60)
    assert faulty.steps() == list(range(300))


@pytest.mark.usefixtures("small_files")
def test_control_a_spool_that_lets_the_error_pass_loses_rows(
    sender: Sender, faulty: FaultyCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(self: Spool, batch: object) -> None:
        segment: Segment = self._current()
        try:
            segment.append(batch)
        except OSError:
            return
        self.end = segment.end

    monkeypatch.setattr(Spool, "_append", careless)
    put_in_many_frames(sender, 300)
    faulty.start()
    sender.flush(60)
    assert len(faulty.steps()) < 300


def finishes(work: Callable[[], object]) -> bool:
    """Whether something comes to its end although the disk does not."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(3)
    return not thread.is_alive()


def test_a_disk_that_hangs_holds_up_no_call(
    faulty: FaultyCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healed, stuck = threading.Event(), threading.Event()
    real = os.write

    def hang(descriptor: int, data: bytes) -> int:
        stuck.set()
        healed.wait(60)
        return real(descriptor, data)

    sender = open_sender(faulty.url, tmp_path / "spool")
    put(sender, 5)
    assert sender.flush(20)
    monkeypatch.setattr("htga_client.spool.segment_file.os.write", hang)
    put(sender, 5, first=5)
    assert stuck.wait(20)
    assert finishes(lambda: put(sender, 100, first=10))
    assert sender.stats.queued >= 100
    assert not sender.flush(0.01)
    assert finishes(lambda: sender.finish(timeout=0.1))
    assert not finishes(lambda: sender._spool.acknowledge(0, 0))  # control: this waits for the disk
    healed.set()
    assert sender.finish(timeout=60)
    assert faulty.steps() == list(range(110))
    end(sender)


def may_mount() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        return False
    done = subprocess.run([unshare, "-m", "true"], check=False, capture_output=True)
    return done.returncode == 0


FULL = """
import subprocess, sys, time
from pathlib import Path
from htga_client.spool.spool import Spool
from tests.support.senders import end, open_sender, put

url, folder = sys.argv[1], Path(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=True)
# So little memory that only dropping the oldest rows makes room.
small = lambda make: Spool(make, memory_limit=400_000, segment_bytes=200_000)
sender = open_sender(url, folder / "spool", make_spool=small)
ballast = folder / "ballast"
ballast.write_bytes(bytes(3 << 19))
for step in range(1000):
    put(sender, 1, first=step)
    if step % 2:
        sender._queue.mark().passed.wait(20)
lost = sender.stats.dropped["spool_full"]
held = sender._spool.held
ballast.unlink()
time.sleep(1.2)
put(sender, 10, first=1000)
sender._queue.mark().passed.wait(20)
print(lost, held, sender._spool.durable, sender.stats.dropped["spool_full"], flush=True)
end(sender)
"""


@pytest.mark.skipif(not (LONG and may_mount()), reason="mounts a small disk: long tier, as root")
def test_a_full_disk_drops_the_oldest_rows_and_is_used_again_once_it_has_room(
    tmp_path: Path, faulty: FaultyCollector
) -> None:
    faulty.stop()
    command = ["unshare", "-m", sys.executable, "-c", FULL, faulty.url, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    lost, held, durable, lost_later = done.stdout.split()
    assert int(lost) + int(held) == 1000
    assert int(lost) > 0
    assert durable == "True"
    assert lost_later == lost


def test_rows_dropped_for_want_of_room_are_a_gap_that_the_collector_knows(
    faulty: FaultyCollector, tmp_path: Path
) -> None:
    faulty.stop()
    sender = open_sender(
        faulty.url, tmp_path / "spool", make_spool=lambda make: Spool(make, disk_limit=100_000)
    )
    put_in_many_frames(sender, 500)
    wait_until_written(sender)
    faulty.start()
    assert not sender.flush(60)
    lost = sender.stats.dropped["spool_full"]
    assert faulty.steps() == list(range(lost, 500))
    assert [(first, last) for _, first, last in faulty.gaps] == [(0, lost)]
    end(sender)


def test_rows_on_their_way_are_not_dropped_for_want_of_room(
    faulty: FaultyCollector, tmp_path: Path
) -> None:
    sender = open_sender(
        faulty.url, tmp_path / "spool", make_spool=lambda make: Spool(make, disk_limit=100_000)
    )
    put(sender, 1)
    assert sender.flush(20)
    faulty.stop()
    put(sender, 1, first=1)
    assert faulty.wait(lambda: sender.stats.retries > 2)
    put_in_many_frames(sender, 500)
    wait_until_written(sender)
    faulty.start()
    assert not sender.flush(60)
    lost = sender.stats.dropped["spool_full"]
    assert len(faulty.rows) == 502 - lost
    assert sum(last - first for _, first, last in faulty.gaps) == lost > 0
    end(sender)
