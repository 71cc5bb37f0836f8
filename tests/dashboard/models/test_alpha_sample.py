from __future__ import annotations

from typing import Any

import pytest

from htga_client.wire import Estimator, Run, Scope
from htga_dashboard.models.alpha_sample import alpha_sample, described, differences
from htga_dashboard.models.charts import charts_of
from tests.support.series import run

NEW: dict[str, Any] = {
    "alpha_hat": 1.4, "k": 655, "n": 65_536, "n_zero": 500, "n_nonfinite": 0,
    "n_total": 4_300_000, "scope": Scope.GLOBAL, "estimator": Estimator.HILL,
}  # fmt: skip
OLD: dict[str, Any] = {"alpha_hat": 1.7, "k": 776, "n": 65_536, "n_zero": 500, "n_nonfinite": 0}


def of(name: str, summary: dict[str, Any]) -> Run:
    return run(name=name, summary=summary)


def test_runs_whose_indices_are_of_the_same_need_no_word() -> None:
    whole = NEW | {"k": 43_000, "n": 4_299_500}
    almost = NEW | {"k": 650, "n": 66_000}
    assert differences([of("a", NEW), of("b", whole), of("c", almost)]) == []
    assert differences([of("a", {"loss": 1.0}), of("b", NEW)]) == []
    assert differences([of("a", OLD), of("b", OLD)]) == []
    assert differences([]) == []


def test_an_older_run_differs_in_its_share_and_says_less() -> None:
    share, scope, estimator = differences([of("old", OLD), of("new", NEW), of("newer", NEW)])
    assert share == (
        "The tail is another share k / n of the entries: 1.18 % (old); 0.999 % (new, newer)."
    )
    assert "not recorded, as in rows of older clients (old)" in scope
    assert "the gradient of all parameters (new, newer)" in scope
    assert "Hill (new, newer)" in estimator


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"k": 131}, "0.2 % (b)"),
        ({"scope": Scope.RMS_NORMALISED}, "each divided by its root mean square (b)"),
        ({"estimator": Estimator.BINNED_HILL}, "Hill on a histogram (b)"),
        ({"estimator": 99}, "unknown (99) (b)"),
        ({"k": None}, "not recorded, as in rows of older clients (b)"),
    ],
)
def test_each_way_to_differ_has_a_sentence(change: dict[str, Any], word: str) -> None:
    (sentence,) = differences([of("a", NEW), of("b", NEW | change)])
    assert word in sentence


def test_many_runs_are_counted_instead_of_named() -> None:
    runs = [of("first", OLD), *(of(f"run {i}", NEW) for i in range(9))]
    assert "run 0, run 1, run 2 and 6 more" in differences(runs)[0]


def test_a_run_says_what_its_index_is_of() -> None:
    assert described(of("a", NEW)) == "the largest 0.999 % of a sample"
    assert described(of("a", NEW | {"n": 4_299_500, "k": 42_995})) == (
        "the largest 1 % of all entries"
    )
    assert described(of("a", OLD)) == "the largest 1.18 %"
    assert alpha_sample(of("a", {"loss": 1.0})) is None
    controlled = NEW | {"control_alpha": 3.0, "control_scope": Scope.RMS_NORMALISED}
    tail, update = charts_of(of("a", controlled))
    assert tail.note == "heavier tails lie lower; the largest 0.999 % of a sample"
    assert "of one step" in tail.about
    assert update.note.endswith("; all tensors, each divided by its root mean square")
