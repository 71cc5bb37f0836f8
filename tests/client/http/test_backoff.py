import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_client.http.backoff import Backoff, jittered


def test_the_bound_doubles_up_to_the_cap_and_starts_anew_after_a_reset() -> None:
    backoff = Backoff(first=0.5, cap=3.0, uniform=lambda: 1.0)
    assert [backoff.delay() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.delay() == 0.5


@given(uniform=st.floats(0, 1, exclude_max=True), tries=st.integers(1, 100))
def test_no_delay_is_longer_than_the_cap_however_many_tries(uniform: float, tries: int) -> None:
    backoff = Backoff(uniform=lambda: uniform)
    assert all(0 <= backoff.delay() <= 30 for _ in range(tries))


@pytest.mark.parametrize(("asked", "least", "most"), [(0, 0, 0), (5, 5, 5.5), (1e9, 300, 330)])
def test_what_the_server_asked_for_is_honoured_up_to_five_minutes(
    asked: float, least: float, most: float
) -> None:
    assert Backoff(uniform=lambda: 0.0).delay(asked) == least
    assert Backoff(uniform=lambda: 1.0).delay(asked) == pytest.approx(most)


def arrivals(chance: random.Random | None) -> list[int]:
    """Requests in each half second of the third round of 1,000 who began at once, eight apart."""
    seconds = [0] * 100
    for _ in range(1000):
        pauses = [8.0 if chance is None else jittered(8.0, chance.random) for _ in range(3)]
        seconds[int(2 * sum(pauses))] += 1
    return seconds


def test_a_crowd_that_was_answered_at_once_comes_back_one_by_one() -> None:
    assert max(arrivals(random.Random(0))) < 250


def test_control_after_even_pauses_it_comes_back_at_once() -> None:
    assert max(arrivals(None)) == 1000
