from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from htga_client import wire
from htga_client.run_ids import uuid7
from htga_client.spool.directory import SpoolDirectory, orphans
from htga_client.spool.spool import Spool
from htga_client.wire.row_encoder import record_batch

MakeSpool = Callable[..., Spool]


def rows(first: int, count: int, *, size: int = 0) -> pa.RecordBatch:
    """Rows whose step is their number."""
    return record_batch([{"step": first + i, "histogram": bytes(size)} for i in range(count)])


def steps(spool: Spool, seq: int = 0) -> list[int]:
    found: list[int] = []
    while (chunk := spool.read(seq, rows=100, size=1 << 20)) is not None:
        found += [step for batch in chunk.batches for step in batch["step"].to_pylist()]
        seq = chunk.end
    return found


def take_over(root: Path) -> Spool:
    (directory,) = orphans(root)
    return Spool.of(directory)


def new_run() -> wire.NewRun:
    return wire.NewRun(id=str(uuid7()), project="p", name="n", writer=str(uuid7()))


@pytest.fixture
def make_spool(tmp_path: Path) -> Iterator[MakeSpool]:
    made = []

    def make(**limits: Any) -> Spool:
        run = new_run()
        folder = tmp_path / "spool"
        made.append(Spool(lambda: SpoolDirectory.create(folder, run, "http://x"), **limits))
        return made[-1]

    yield make
    for spool in made:
        spool.close()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A disk with so much "room": beyond it a write is cut short, as by a real one, and fails."""
    state: dict[str, Any] = {"room": 1 << 30}
    real = os.write

    def write(descriptor: int, data: memoryview) -> int:
        if state["room"] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(descriptor, bytes(data[: state["room"]]))
        state["room"] -= written
        return written

    monkeypatch.setattr(os, "write", write)
    yield state
    monkeypatch.setattr(os, "write", real)


def test_what_was_appended_outlives_the_process_and_is_its_own_until_then(
    make_spool: MakeSpool, tmp_path: Path
) -> None:
    spool = make_spool()
    spool.append(rows(0, 3))
    spool.append(rows(3, 2))
    assert not list(orphans(tmp_path / "spool"))
    spool.close()  # as the system does when a process dies
    again = take_over(tmp_path / "spool")
    assert (again.begin, again.end, again.held) == (0, 5, 5)
    assert steps(again) == [0, 1, 2, 3, 4]
    again.remove()
    assert [path.name for path in (tmp_path / "spool").iterdir()] == [".gitignore"]


def test_files_are_for_their_owner_alone(make_spool: MakeSpool, tmp_path: Path) -> None:
    spool = make_spool()
    spool.append(rows(0, 1))
    for path in (tmp_path / "spool").rglob("*"):
        if path.name != ".gitignore":
            assert path.stat().st_mode & 0o077 == 0, path


def test_segments_are_deleted_once_all_their_rows_are_settled(
    make_spool: MakeSpool, tmp_path: Path
) -> None:
    spool = make_spool(segment_bytes=1)
    for first in range(5):
        spool.append(rows(first, 1))
    assert len(list((tmp_path / "spool").rglob("*.seg"))) == 5
    spool.acknowledge(0, 3)
    assert len(list((tmp_path / "spool").rglob("*.seg"))) == 2
    assert (spool.begin, spool.held) == (3, 2)
    assert steps(spool) == [3, 4]


def test_without_room_the_oldest_rows_go_and_are_counted(make_spool: MakeSpool) -> None:
    spool = make_spool(disk_limit=80_000)
    for first in range(100):
        spool.append(rows(first, 1, size=1000))
    assert spool.lost["spool_full"] == 100 - spool.held
    assert steps(spool) == list(range(spool.begin, 100))
    assert 0 < spool.begin < 100


def test_a_full_disk_loses_nothing_that_memory_can_hold_until_there_is_room_again(
    make_spool: MakeSpool, disk: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("htga_client.spool.disk_backoff.RETRY_SECONDS", 0.0)
    spool = make_spool()
    disk["room"] = 7000  # ends in the midst of a row
    for first in range(10):
        spool.append(rows(first, 1))
    kept = [spool.durable]
    assert steps(spool) == list(range(10))
    disk["room"] = 1 << 30
    spool.append(rows(10, 1))
    kept.append(spool.durable)
    assert kept == [False, True]
    spool.close()
    assert steps(take_over(tmp_path / "spool")) == list(range(11))
    assert not spool.lost


def test_when_disk_and_memory_are_full_the_oldest_rows_make_room(
    make_spool: MakeSpool, disk: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("htga_client.spool.disk_backoff.RETRY_SECONDS", 0.0)
    spool = make_spool(memory_limit=60_000)
    disk["room"] = 30_000
    for first in range(100):
        spool.append(rows(first, 1))
    found = steps(spool)
    assert found == list(range(found[0], 100))
    assert spool.lost == {"spool_full": 100 - len(found)}
    assert len(found) > 5


def test_a_folder_that_cannot_be_made_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    run = new_run()
    spool = Spool(lambda: SpoolDirectory.create(tmp_path / "file" / "spool", run, ""))
    spool.append(rows(0, 2))
    assert (steps(spool), spool.durable) == ([0, 1], False)
    spool.close()
    assert spool.lost == {"closed": 2}


def test_a_folder_deleted_under_a_running_process_costs_only_what_was_in_it(
    make_spool: MakeSpool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("htga_client.spool.disk_backoff.RETRY_SECONDS", 0.0)
    spool = make_spool(segment_bytes=1)
    spool.append(rows(0, 1))
    spool.append(rows(1, 1))
    spool.sync()
    for path in (tmp_path / "spool").rglob("*.seg"):
        path.unlink()
    spool.append(rows(2, 1))
    assert steps(spool)[-1] == 2
    assert steps(spool) == list(range(3 - len(steps(spool)), 3))


def test_a_damaged_segment_costs_its_rows_and_no_other(
    make_spool: MakeSpool, tmp_path: Path
) -> None:
    spool = make_spool(segment_bytes=1)
    for first in range(3):
        spool.append(rows(first, 2) if first == 0 else rows(spool.end, 2))
    spool.close()
    (_, second, _) = sorted((tmp_path / "spool").rglob("*.seg"))
    data = bytearray(second.read_bytes())
    data[-1] ^= 1
    second.write_bytes(data)
    assert steps(take_over(tmp_path / "spool")) == [0, 1, 4, 5]


def test_a_failed_sync_is_not_trusted_again(
    make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spool = make_spool()
    spool.append(rows(0, 1))

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        spool.sync()
    spool.append(rows(1, 1))
    assert len(list((tmp_path / "spool").rglob("*.seg"))) == 2
    assert steps(spool) == [0, 1]


def test_a_batch_larger_than_a_frame_is_written_in_parts(
    make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("htga_client.spool.frame.MAX_PAYLOAD", 6000)
    spool = make_spool()
    spool.append(rows(0, 9, size=600))
    assert steps(spool) == list(range(9))
    with pytest.raises(ValueError, match="at most 6000 bytes"):
        spool.append(rows(9, 1, size=7000))
