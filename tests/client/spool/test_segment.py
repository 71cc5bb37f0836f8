from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from htga_client.spool import frame
from htga_client.spool.frame import Frame
from htga_client.spool.segment import Segment
from htga_client.spool.segment_file import DiskSegment, InMemorySegment
from htga_client.wire.row_encoder import record_batch
from tests.support.segments import steps, write


@given(payload=st.binary(max_size=99), first=st.integers(0, 2**63), rows=st.integers(0, 2**31))
def test_a_frame_comes_back_as_it_was(payload: bytes, first: int, rows: int) -> None:
    data = memoryview(b"???" + frame.pack(Frame(first, rows, payload)) + b"...")
    assert frame.unpack(data, 3) == Frame(first, rows, payload)


@given(
    payload=st.binary(max_size=40),
    bit=st.integers(0, 8 * (frame.HEADER_BYTES + 40) - 1),
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
    segment = Segment(InMemorySegment(), 0)
    write(segment, sizes)
    assert steps(segment, seq, rows=rows, size=size) == list(range(seq, sum(sizes)))
    assert steps(segment, seq, rows=rows) == list(range(seq, sum(sizes)))


def test_a_frame_larger_than_the_window_is_read(tmp_path: Path) -> None:
    segment = Segment(DiskSegment.create(tmp_path / "large"), 0)
    rows = [{"step": i, "histogram": bytes(300_000)} for i in range(3)]
    for row in rows:
        segment.append(record_batch([row]))
    segment.append(record_batch(rows))
    assert steps(segment) == [0, 1, 2, 0, 1, 2]
    segment.file.close()
    again, whole = Segment.recover(DiskSegment(tmp_path / "large"))
    assert (again.rows, whole) == (6, True)
