from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_dashboard.steps import Steps


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_a_stretch_is_the_same_in_an_address_and_in_a_browser(one: int, other: int) -> None:
    first, last = sorted((one, other))
    stretch = Steps(first, last)
    assert Steps.from_query(f"?steps={first}-{last}") == stretch
    kept = json.loads(json.dumps(stretch.to_json()))
    assert Steps.between(kept["first"], kept["last"]) == stretch
    assert stretch.stop == last + 1


@pytest.mark.parametrize("query", ["", "?steps=", "?steps=9-1", "?steps=a-b", "?steps=1", "?x=1-2"])
def test_an_address_without_a_stretch_shows_all_steps(query: str) -> None:
    assert Steps.from_query(query) == Steps()
    assert Steps().stop is None
    assert Steps().to_json() is None


@pytest.mark.parametrize(("first", "last"), [(None, 3), ("1", 3), (5, 3), (float("nan"), 3)])
def test_what_makes_no_stretch_shows_all_steps(first: Any, last: Any) -> None:
    assert Steps.between(first, last) == Steps()


def test_a_stretch_begins_at_the_first_step() -> None:
    assert Steps.between(-3.2, 7.6) == Steps(0, 8)
