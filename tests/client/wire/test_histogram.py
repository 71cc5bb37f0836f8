import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_client.wire.histogram import decode, decode_all, edges, encode, n_bins


@given(
    counts=st.lists(st.integers(0, 2**60), max_size=40),
    first=st.integers(0, 1000),
    n_zero=st.integers(0, 2**60),
    n_nonfinite=st.integers(0, 2**60),
)
def test_decode_undoes_encode_up_to_empty_bins_at_the_ends(
    counts: list[int], first: int, n_zero: int, n_nonfinite: int
) -> None:
    back = decode(encode(counts, bits=3, first=first, n_zero=n_zero, n_nonfinite=n_nonfinite))
    assert (back.bits, back.n_zero, back.n_nonfinite) == (3, n_zero, n_nonfinite)
    dense = np.zeros(n_bins(3), np.int64)
    dense[back.first : back.first + back.counts.size] = back.counts
    assert dense[first : first + len(counts)].tolist() == counts
    assert dense.sum() == sum(counts)


@pytest.mark.parametrize("bits", range(5))
def test_a_bin_begins_at_the_float_with_its_bit_pattern(bits: int) -> None:
    index = np.arange(n_bins(bits), dtype=np.uint32)
    begins = (index << np.uint32(23 - bits)).view(np.float32).astype(np.float64)
    assert np.array_equal(edges(bits, 0, n_bins(bits))[:-1], begins)
    assert edges(bits, 0, n_bins(bits))[-1] == 2.0**128


@given(st.binary(max_size=64))
def test_bytes_that_are_no_histogram_are_refused_and_never_crash(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert decode(data).counts.size <= len(data)


def test_a_histogram_that_was_cut_short_is_refused() -> None:
    whole = encode([3, 0, 900], bits=3, first=12, n_zero=4)
    for cut in range(len(whole)):
        with pytest.raises(ValueError, match="histogram"):
            decode(whole[:cut])
    with pytest.raises(ValueError, match="histogram"):
        decode(whole + b"\x01")


def test_a_negative_count_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="negative, got -1"):
        encode([-1], bits=3)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.builds(
                encode,
                st.lists(st.integers(0, 2**50), max_size=9),
                bits=st.integers(0, 8),
                n_zero=st.integers(0, 2**50),
            ),
        ),
        max_size=12,
    )
)
def test_many_are_decoded_as_each_would_be_alone(blobs: list[bytes]) -> None:
    together = decode_all(blobs)
    begin = 0
    for i, blob in enumerate(blobs):
        try:
            alone = decode(blob)
        except ValueError:
            assert not together.valid[i]
            continue
        assert together.valid[i]
        counts = together.counts[begin : begin + together.size[i]]
        begin += int(together.size[i])
        assert counts.tolist() == alone.counts.tolist()
        assert (together.bits[i], together.first[i]) == (alone.bits, alone.first)
        assert (together.n_zero[i], together.n_nonfinite[i]) == (alone.n_zero, alone.n_nonfinite)
    assert begin == together.counts.size


def test_more_bytes_than_are_decoded_at_a_time_give_what_each_gives_alone() -> None:
    blobs = [encode(range(1, 400), bits=3, first=i, n_zero=i << 20) for i in range(900)]
    blobs[300], blobs[650] = b"", b"\x07" * 40
    together, alone = decode_all(blobs), [decode_all([blob]) for blob in blobs]
    assert sum(map(len, blobs)) > 2**19
    assert np.flatnonzero(~together.valid).tolist() == [300, 650]
    for name in ("first", "n_zero", "size", "counts"):
        joined = np.concatenate([getattr(one, name) for one in alone])
        assert np.array_equal(getattr(together, name), joined)
