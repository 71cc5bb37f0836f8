"""The file that a killed process or a bad disk leaves is cut short, damaged, or ends in zeros."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htga_client.spool import frame
from htga_client.spool.segment import Segment
from htga_client.spool.segment_file import DiskSegment
from tests.support.seeded_random import LONG, rounds
from tests.support.segments import steps, write


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of three frames of 2 rows each."""
    path = tmp_path_factory.mktemp("segment") / "three"
    segment = Segment(DiskSegment.create(path), 0)
    write(segment, [2, 2, 2])
    segment.file.close()
    return path


def recovered(data: bytes, folder: Path) -> tuple[list[int], bool]:
    path = folder / "damaged"
    path.write_bytes(data)
    segment, whole = Segment.recover(DiskSegment(path))
    return steps(segment), whole


def test_cut_anywhere_a_segment_gives_the_rows_before_the_cut(three: Path, tmp_path: Path) -> None:
    data = three.read_bytes()
    most = 0
    # The schema, which the first frame holds, is looked at roughly.
    third = len(data) // 3
    some = [*range(100), *range(100, third, 17), *range(third, len(data), 3), len(data)]
    for cut in range(len(data) + 1) if LONG else some:
        rows, whole = recovered(data[:cut], tmp_path)
        assert rows == list(range(len(rows)))
        assert len(rows) % 2 == 0
        assert len(rows) >= most
        assert whole or cut < len(data)
        most = len(rows)
    assert most == 6


def test_with_any_byte_flipped_a_segment_gives_only_rows_that_were_written(
    three: Path, tmp_path: Path
) -> None:
    data = three.read_bytes()
    some = [(at, at % 8) for at in [*range(100), *range(100, len(data), 11)]]
    every = [(at, bit) for at in range(len(data)) for bit in range(8)]
    for at, bit in every if LONG else some:
        damaged = bytearray(data)
        damaged[at] ^= 1 << bit
        rows, whole = recovered(bytes(damaged), tmp_path)
        assert rows == list(range(len(rows)))
        assert not whole


def test_control_without_its_checksum_damage_would_pass_for_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "_checksum", lambda *_: 0)
    path = tmp_path / "unchecked"
    segment = Segment(DiskSegment.create(path), 0)
    write(segment, [2, 2, 2])
    data = path.read_bytes()
    segment.file.close()
    believed = 0
    for at in range(0, len(data), 40):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        try:
            rows, whole = recovered(bytes(damaged), tmp_path)
        except Exception:  # noqa: BLE001  any is a failure
            believed += 1
        else:
            believed += whole or rows != list(range(len(rows)))
    assert believed


@settings(max_examples=rounds(50, 10_000))
@given(garbage=st.binary(max_size=60) | st.builds(bytes, st.integers(0, 5000)))
def test_garbage_after_the_last_frame_costs_nothing(
    three: Path, tmp_path_factory: pytest.TempPathFactory, garbage: bytes
) -> None:
    rows, whole = recovered(three.read_bytes() + garbage, tmp_path_factory.mktemp("garbage"))
    assert rows == list(range(6))
    assert whole == (garbage == b"")
