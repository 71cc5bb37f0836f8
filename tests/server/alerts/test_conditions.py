"""Detectors fire where their definition says, however the values arrive."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_client.wire import NewRule, RuleKind
from htga_server.alerts import conditions
from htga_server.alerts.conditions import BASELINE_VALUES, GROWTH, REARM_STEPS, Detector

VALUES = st.lists(
    st.sampled_from([1.0, 1.0, 1.1, 0.9, 2.0, 5.0, math.nan, math.inf, -math.inf]),
    min_size=1,
    max_size=400,
)
KINDS: tuple[RuleKind, ...] = get_args(RuleKind)


def rule(kind: RuleKind, **other: object) -> NewRule:
    fields = {"project": "p", "name": "n", "key": "alpha_bar", "threshold": 1.0} | other
    return NewRule(kind=kind, **fields)  # type: ignore[arg-type]


def firing_steps(
    detector: Detector, values: list[float], steps: list[int] | None = None
) -> list[int]:
    at = np.array(range(len(values)) if steps is None else steps, np.int64)
    mask = detector.fires(at, np.array(values, np.float64))
    assert mask.shape == at.shape
    return list(at[mask].tolist())


@given(VALUES, st.lists(st.integers(0, 400)), st.sampled_from(KINDS), st.integers(1, 5), st.data())
def test_a_detector_fires_at_the_same_steps_whatever_the_batches(
    values: list[float], cuts: list[int], kind: RuleKind, times: int, data: st.DataObject
) -> None:
    gaps = data.draw(st.lists(st.integers(1, 30), min_size=len(values), max_size=len(values)))
    steps = np.cumsum(gaps).tolist()
    for detector in (
        conditions.from_rule(rule(kind, steps=times)),
        conditions.divergence("loss"),
        conditions.divergence("grad_norm"),
    ):
        found = []
        for begin, end in pairwise(sorted({0, len(values), *(c for c in cuts if c < len(values))})):
            known = max(0, begin - detector.context)
            part = firing_steps(detector, values[known:end], steps[known:end])
            found += [step for step in part if step >= steps[begin]]
        assert found == firing_steps(detector, values, steps)


@given(VALUES)
def test_divergence_is_what_its_definition_says(values: list[float]) -> None:
    divergent = []
    for at, value in enumerate(values):
        before = [v for v in values[max(0, at - BASELINE_VALUES) : at] if math.isfinite(v)]
        rolling_median = statistics.median(before) if at >= BASELINE_VALUES and before else math.nan
        if not math.isfinite(value) or (rolling_median > 0 and value > GROWTH * rolling_median):
            divergent.append(at)
    expected = [at for last, at in pairwise([-999, *divergent]) if at - last > REARM_STEPS]
    assert firing_steps(conditions.divergence("loss"), values) == expected


def test_a_loss_that_explodes_within_the_first_hundred_values_is_no_divergence_yet() -> None:
    loss = conditions.divergence("loss")
    assert firing_steps(loss, [1.0] * 99 + [50.0]) == []
    assert firing_steps(loss, [1.0] * 100 + [50.0]) == [100]
    assert firing_steps(loss, [-1.0] * 100 + [-0.5]) == []
    assert firing_steps(conditions.divergence("grad_norm"), [1.0] * 100 + [50.0]) == []
    assert firing_steps(loss, [math.nan, 1.0] + [2.0] * 49 + [math.inf, 1.0]) == [0, 51]


def test_a_loss_that_jumps_is_a_warning_and_one_that_is_no_number_an_error() -> None:
    loss = conditions.divergence("loss")
    assert (loss.level(4.0), loss.level(math.nan), loss.level(-math.inf)) == (
        "warning",
        "error",
        "error",
    )
    assert loss.text(4.0) == "loss is 4: more than 3 times the median of the 100 values before"
    assert loss.text(math.nan) == "loss is nan: not finite"


@pytest.mark.parametrize(
    ("kind", "values", "steps", "expected"),
    [
        ("below", [2, 0, 0, 0, 2, 0, 0], 2, [2, 6]),
        ("above", [math.inf, 2, math.nan, 2, 1], 1, [0, 3]),
        ("at_bound", [1.0 + 1e-9, 1, 1.1, 1.0], 1, [0, 3]),
        ("burst", [1.0] * 100 + [1.5, 1.5, 1.0, 1.5], 1, [100, 103]),
        ("nonfinite", [1, math.nan, -math.inf, 1, math.inf], 2, [2]),
    ],
)
def test_a_rule_fires_once_until_it_has_not_held(
    kind: RuleKind, values: list[float], steps: int, expected: list[int]
) -> None:
    assert firing_steps(conditions.from_rule(rule(kind, steps=steps)), values) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_of_a_detector_has_the_value(kind: RuleKind) -> None:
    fields = conditions.from_rule(rule(kind, steps=3, threshold=1.25)).text(0.5)
    assert fields.startswith("alpha_bar is 0.5: ")
    assert fields.endswith(", 3 times in a row")
    assert ("1.25" in fields) == (kind != "nonfinite")
