from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htga_client import frame
from htga_client.frame import Frame
from htga_client.medium import File, Memory
from htga_client.rows import record_batch
from htga_client.segment import Segment


def write(segment: Segment, sizes: Sequence[int]) -> None:
    for size in sizes:
        first = segment.end
        rows: list[dict[str, Any]] = [
            {"step": first + i, "metrics": {"x": 1.0}} for i in range(size)
        ]
        segment.append(record_batch(rows))


def steps(segment: Segment, seq: int = 0, *, rows: int = 10**6, size: int = 10**9) -> list[int]:
    """Steps of all rows from number `seq` on, read in chunks; a row's step is its number."""
    found: list[int] = []
    while seq < segment.end and (chunk := segment.read(seq, rows=rows, size=size)) is not None:
        assert chunk.first == seq
        assert chunk.rows <= rows
        found += [step for batch in chunk.batches for step in batch["step"].to_pylist()]
        seq = chunk.end
    return found


@given(payload=st.binary(max_size=99), first=st.integers(0, 2**63), rows=st.integers(0, 2**31))
def test_a_frame_comes_back_as_it_was(payload: bytes, first: int, rows: int) -> None:
    data = memoryview(b"???" + frame.pack(Frame(first, rows, payload)) + b"...")
    assert frame.unpack(data, 3) == Frame(first, rows, payload)


@given(
    payload=st.binary(max_size=40),
    bit=st.integers(0, 8 * (frame.HEAD + 40) - 1),
)
def test_a_frame_with_any_bit_flipped_is_none(payload: bytes, bit: int) -> None:
    data = bytearray(frame.pack(Frame(7, 3, payload)))
    byte = bit // 8 % len(data)
    data[byte] ^= 1 << bit % 8
    assert frame.unpack(memoryview(data), 0) is None


def test_zeros_are_no_frame() -> None:
    assert frame.unpack(memoryview(bytes(4096)), 0) is None


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9),
    rows=st.integers(1, 12),
    size=st.integers(1, 20_000),
    seq=st.integers(0, 80),
)
def test_rows_are_read_in_order_from_anywhere_in_chunks_of_any_size(
    sizes: list[int], rows: int, size: int, seq: int
) -> None:
    segment = Segment(Memory(), 0)
    write(segment, sizes)
    assert steps(segment, seq, rows=rows, size=size) == list(range(seq, sum(sizes)))
    assert steps(segment, seq, rows=rows) == list(range(seq, sum(sizes)))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of three frames of 2 rows each."""
    path = tmp_path_factory.mktemp("segment") / "three"
    segment = Segment(File.create(path), 0)
    write(segment, [2, 2, 2])
    segment.medium.close()
    return path


def recovered(data: bytes, folder: Path) -> tuple[list[int], bool]:
    path = folder / "damaged"
    path.write_bytes(data)
    segment, whole = Segment.recover(File(path))
    return steps(segment), whole


def test_cut_anywhere_a_segment_gives_the_rows_before_the_cut(three: Path, tmp_path: Path) -> None:
    data = three.read_bytes()
    most = 0
    # Each byte of the last two frames and of what the first begins with; the schema, roughly.
    third = len(data) // 3
    for cut in [*range(100), *range(100, third, 17), *range(third, len(data) + 1)]:
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
    for at in [*range(100), *range(100, len(data), 5)]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        rows, whole = recovered(bytes(damaged), tmp_path)
        assert rows == list(range(len(rows)))
        assert not whole


def test_control_without_its_checksum_damage_would_pass_for_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "_checksum", lambda *_: 0)
    path = tmp_path / "unchecked"
    segment = Segment(File.create(path), 0)
    write(segment, [2, 2, 2])
    data = path.read_bytes()
    segment.medium.close()
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


@given(garbage=st.binary(max_size=60))
def test_garbage_after_the_last_frame_costs_nothing(
    three: Path, tmp_path_factory: pytest.TempPathFactory, garbage: bytes
) -> None:
    rows, whole = recovered(three.read_bytes() + garbage, tmp_path_factory.mktemp("garbage"))
    assert rows == list(range(6))
    assert whole == (garbage == b"")


def test_a_frame_larger_than_the_window_is_read(tmp_path: Path) -> None:
    segment = Segment(File.create(tmp_path / "large"), 0)
    rows = [{"step": i, "histogram": bytes(300_000)} for i in range(3)]
    for row in rows:
        segment.append(record_batch([row]))
    segment.append(record_batch(rows))
    assert steps(segment) == [0, 1, 2, 0, 1, 2]
    segment.medium.close()
    again, whole = Segment.recover(File(tmp_path / "large"))
    assert (again.rows, whole) == (6, True)
