from __future__ import annotations

import pytest

from htga_client.wire.limits import MAX_LABEL, MAX_ROW_METRICS
from htga_client.wire.row_metrics import storable_rows

ROW = {"step": 3, "time": 1.5, "rank": 1, "alpha_hat": 2.0, "event": "{}"}


@pytest.mark.parametrize(
    "count", [1, MAX_ROW_METRICS, MAX_ROW_METRICS + 1, 3 * MAX_ROW_METRICS + 7]
)
def test_a_row_with_many_metrics_is_several_of_one_step_and_only_the_first_has_more(
    count: int,
) -> None:
    metrics = {f"m{i}": float(i) for i in range(count)}
    rows, faults = storable_rows({**ROW, "metrics": metrics})
    assert not faults
    assert all(0 < len(row["metrics"]) <= MAX_ROW_METRICS for row in rows)
    assert {name: value for row in rows for name, value in row["metrics"].items()} == metrics
    assert sum(len(row["metrics"]) for row in rows) == count
    first, *others = [{k: v for k, v in row.items() if k != "metrics"} for row in rows]
    assert first == ROW
    assert all(other == {"step": 3, "time": 1.5, "rank": 1} for other in others)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("", "empty"),
        ("x" * (MAX_LABEL + 1), "more than"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogate"),
        (7, None),
        ("x" * MAX_LABEL, None),
        ("größe/名前", None),
    ],
)
def test_a_name_that_cannot_be_kept_is_left_out_with_its_reason_and_the_others_stay(
    name: object, word: str | None
) -> None:
    (row,), faults = storable_rows({**ROW, "metrics": {name: 1.0, "loss": 2.0}})
    assert row["metrics"]["loss"] == 2.0
    assert (name in row["metrics"]) is (word is None)
    assert list(faults) == ([] if word is None else [name])
    assert word is None or word in faults[name]


@pytest.mark.parametrize("metrics", [None, {}, [], 3])
def test_a_row_without_metrics_stays_as_it_is(metrics: object) -> None:
    row = {**ROW, "metrics": metrics}
    assert storable_rows(row) == ((row,), {})
