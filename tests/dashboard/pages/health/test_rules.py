from __future__ import annotations

from typing import Any

import pytest

from htga_client.wire import Firing, Firings, Rule
from htga_dashboard.pages.health import rules
from htga_dashboard.pages.health.rule_form import condition, rule_of, values
from tests.dashboard.pages.test_pages import texts

RULE = Rule(
    id="1", project="p", name="heavy", kind="below", key="alpha_bar", threshold=1.2, steps=5
)


def said(**other: Any) -> list[Any]:
    form: dict[str, Any] = {
        "project": "p",
        "name": " n ",
        "kind": "below",
        "key": "alpha_bar",
        "threshold": "1.2",
        "steps": "5",
        "level": "error",
        "webhook": " ",
        "enabled": "yes",
    }
    return list((form | other).values())


def test_the_form_says_the_rule_that_it_was_filled_with() -> None:
    again = rule_of(values(RULE))
    assert all(getattr(again, name) == getattr(RULE, name) for name in again.__dataclass_fields__)


def test_what_is_left_empty_has_a_meaning() -> None:
    rule = rule_of(said(name=None, enabled="no"))
    assert (rule.name, rule.webhook, rule.enabled) == (
        "alpha_bar is below 1.2, 5 values in a row",
        None,
        False,
    )


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"threshold": "x"}, "The threshold must be a number, not 'x'"),
        ({"threshold": "nan"}, "The threshold must be finite"),
        ({"steps": ""}, "How many in a row must be a number, not 'nothing'"),
        ({"project": None}, "Choose the project"),
    ],
)
def test_an_invalid_form_is_explained(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rule_of(said(**wrong))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("burst", "grad_norm bursts above 10 times its median"),
        ("nonfinite", "grad_norm is NaN or infinite"),
        ("at_bound", "grad_norm stands at 10"),
    ],
)
def test_a_rule_is_put_into_words(kind: Any, words: str) -> None:
    assert (
        condition(Rule(id="", project="", name="", kind=kind, key="grad_norm", threshold=10))
        == words
    )


def test_a_trial_says_how_often_and_leads_there() -> None:
    found = Firings(
        items=tuple(
            Firing(run_id=run, run_name="<b>", rank=0, step=step, value=1.0, text="t")
            for run, step in (("a", 20), ("a", 300), ("b", 5))
        )
    )
    counted, listed = rules.firings(found)
    assert texts(counted) == "It would have fired 3 times in 2 runs."
    links = [c for c in listed._traverse() if getattr(c, "href", None)]
    assert [link.href for link in links] == [
        "/run/a?steps=0-70",
        "/run/a?steps=250-350",
        "/run/b?steps=0-55",
    ]
    (never,) = rules.firings(Firings(items=(), next="more"))
    assert texts(never) == "It would never have fired so far; older runs were not checked."
