import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_client.wire import varints

NUMBERS = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20)


def test_the_lowest_seven_bits_come_first_and_all_bytes_but_the_last_say_that_more_follow() -> None:
    octets, ends = varints.encode([np.array([624_485])])
    assert (octets, ends.tolist()) == (b"\xe5\x8e\x26", [3])


@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_decode_undoes_encode_and_tells_the_parts_apart(parts: list[list[int]]) -> None:
    octets, ends = varints.encode([np.array(part, np.int64) for part in parts])
    numbers, upto, sound = varints.decode(np.frombuffer(octets, np.uint8), ends)
    assert numbers.tolist() == [number for part in parts for number in part]
    assert upto.tolist() == np.cumsum([len(part) for part in parts]).tolist()
    assert sound.all()


@pytest.mark.parametrize("octets", [b"\x80", b"\xff" * 9 + b"\x01"], ids=["cut", "64 bits"])
def test_a_string_that_ends_within_a_number_or_holds_too_large_a_one_is_not_sound(
    octets: bytes,
) -> None:
    raw = np.frombuffer(octets + b"\x05", np.uint8)
    numbers, upto, sound = varints.decode(raw, np.array([len(octets), len(octets) + 1]))
    assert sound.tolist() == [False, True]
    assert numbers[int(upto[0]) :].tolist() == [5]
