from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_dashboard.models.step_range import Steps


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_a_steps_is_read_as_it_was_written(one: int, other: int) -> None:
    first, last = sorted((one, other))
    steps = Steps(first, last)
    assert Steps.parse(str(steps)) == Steps.from_query(f"?steps={steps}") == steps
    assert steps.stop == last + 1
    assert steps.axis()["range"] == [first, last]


@pytest.mark.parametrize("text", ["", "9-1", "a-b", "1", "1-2-3", "-1-2", "1.5-2", "9" * 30 + "-1"])
def test_what_is_no_steps_is_all_steps(text: str) -> None:
    assert Steps.parse(text) == Steps()


def test_all_steps_are_written_as_nothing() -> None:
    assert not str(Steps())
    assert Steps.from_query("?x=1-2") == Steps()
    assert Steps().stop is None
    assert Steps().axis() == {"autorange": True}
