from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from htga.tail import K, choose_k
from htga.tail.tail_size import k_for


@pytest.mark.parametrize(
    ("rule", "value", "n", "k"),
    [
        ("power", None, 499, 0),
        ("power", None, 500, 50),
        ("power", None, 1000, 63),
        ("power", None, 1_000_000, 3981),
        ("fraction", 0.1, 10_000, 1000),
        ("fraction", 0.01, 1000, 50),
        ("fixed", 200, 1000, 200),
    ],
)
def test_each_rule_gives_its_k(rule: Any, value: float | None, n: int, k: int) -> None:
    assert int(choose_k(torch.ones(n), rule, value)) == k


def test_zeros_and_non_finite_entries_do_not_count() -> None:
    x = torch.cat([torch.ones(1000), torch.zeros(9000), torch.full((9,), torch.nan)])
    assert torch.equal(choose_k(x), choose_k(torch.ones(1000)))


@given(
    k=st.one_of(st.sampled_from(["auto", "power"]), st.integers(10, 1000), st.floats(1e-4, 0.9999)),
    n=st.integers(0, 10**9),
    more=st.integers(0, 10**9),
)
def test_k_never_falls_as_the_sample_grows(k: K, n: int, more: int) -> None:
    assert k_for(torch.tensor(n), k) <= k_for(torch.tensor(n + more), k)


@pytest.mark.parametrize(
    ("rule", "value"),
    [("power", 3), ("fraction", None), ("fraction", 5), ("fixed", 0.5), ("best", None)],
)
def test_a_rule_with_a_value_that_is_not_its_own_is_refused(rule: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=f"rule must be .* got '{rule}' with {value}"):
        choose_k(torch.ones(1000), rule, value)
