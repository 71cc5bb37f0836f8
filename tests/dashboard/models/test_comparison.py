from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_dashboard.models.comparison import MAX_SMOOTHING, Comparison

ID = st.uuids().map(str)
NAMES = st.lists(st.text(min_size=1), unique=True, max_size=4).map(tuple)


@given(
    st.builds(
        Comparison,
        runs=st.lists(ID, unique=True, max_size=4).map(tuple),
        keys=NAMES,
        x=st.sampled_from(["step", "time", "relative"]),
        smoothing=st.integers(0, 99).map(lambda percent: percent / 100),
        log=st.booleans(),
        group=NAMES,
        band=st.sampled_from(["sd", "t95", "range", "none"]),
    )
)
def test_an_address_says_all_of_a_comparison(how: Comparison) -> None:
    assert Comparison.from_query(how.to_query()) == how


def test_the_address_of_a_plain_comparison_is_short() -> None:
    assert Comparison(runs=("a", "b")).to_query() == "?runs=a,b"
    assert not Comparison().to_query()


@pytest.mark.parametrize(
    "query",
    [
        "?x=sideways",
        "?smooth=much",
        "?smooth=nan",
        "?band=wide",
        "?log=yes",
        "?&&==&%zz",
        "?smooth=-1",
    ],
)
def test_invalid_parts_of_an_address_are_ignored(query: str) -> None:
    assert Comparison.from_query(query) == Comparison()


def test_smoothing_never_forgets_everything_new() -> None:
    assert Comparison.from_query("?smooth=7").smoothing == MAX_SMOOTHING


def test_a_run_that_is_named_twice_is_compared_once() -> None:
    assert Comparison.from_query("?runs=a,b,a,,").runs == ("a", "b")
