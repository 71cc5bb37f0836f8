"""Whatever a registration holds, what is left of it can be stored, and is said to be changed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_client import wire
from htga_client.wire.clean_run import clean_run
from htga_client.wire.json_codec import dumps, loads
from htga_client.wire.limits import (
    MAX_CONFIG_BYTES,
    MAX_ENVIRONMENT_BYTES,
    MAX_LABEL,
    MAX_NOTES,
    MAX_TAGS,
)
from tests.support.anything import ANYTHING, PARTS, Hostile


def members(run: wire.NewRun) -> dict[str, Any]:
    return {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}


@given(parts=st.dictionaries(st.sampled_from(PARTS), ANYTHING))
def test_what_is_left_of_any_registration_fits_and_is_cleaned_no_further(
    parts: dict[str, Any],
) -> None:
    run, _ = clean_run({"id": "i", "project": "p", "name": "n"} | parts)
    assert clean_run(members(run)) == (run, ())
    assert loads(wire.NewRun, dumps(run)) == run  # what the spool and the network make of it
    text = dumps(run).decode()
    assert "\\u0000" not in text
    json.dumps(json.loads(text), ensure_ascii=False).encode()  # UTF-8 has no lone surrogates
    assert all(0 < len(label) <= MAX_LABEL for label in (run.project, run.name))
    assert len(run.group) <= MAX_LABEL
    assert len(run.notes) <= MAX_NOTES
    assert len(run.tags) <= MAX_TAGS
    assert len(dumps(run.config)) <= MAX_CONFIG_BYTES
    assert len(dumps(run.environment)) <= MAX_ENVIRONMENT_BYTES


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


BAD_SETTINGS: dict[str, Callable[[], Any]] = {
    "raises": Hostile,
    "holds what raises": lambda: {"x": Hostile()},
    "has a key that raises": lambda: {Hostile(): 1},
    "is deep": lambda: deep(3000),
    "cannot be written in decimals": lambda: 10**5000,
    "is one long text": lambda: "x" * (20 << 20),
    "is a long list": lambda: ["y" * 500_000] * 7,
    "has many keys": lambda: {str(i): "z" * 100 for i in range(30_000)},
}


@pytest.mark.parametrize("which", BAD_SETTINGS)
def test_a_setting_that_cannot_be_kept_costs_no_other(which: str) -> None:
    config = {"lr": 0.1, "bad": BAD_SETTINGS[which](), "seed": 3}
    run, _ = clean_run({"id": "i", "project": "p", "name": "n", "config": config})
    assert (run.config["lr"], run.config["seed"]) == (0.1, 3)


def test_what_is_left_out_is_named_and_of_many_the_number_is_said() -> None:
    config = {f"k{i}": "x" * 200_000 for i in range(20)}
    run, (change,) = clean_run({"id": "i", "project": "p", "name": "n", "config": config})
    assert list(run.config) == ["k0", "k1", "k2", "k3", "k4"]
    assert "'k5', 'k6', 'k7', 'k8', 'k9' and 10 more" in change
    assert str(MAX_CONFIG_BYTES) in change


def test_a_run_that_can_be_stored_is_changed_in_nothing() -> None:
    run = wire.NewRun(
        id="i", project="p", name="ünïcode 😀", tags=("a",), config={"lr": 0.1, "b": [1, "NaN"]}
    )
    assert clean_run(members(run)) == (run, ())


@pytest.mark.parametrize(
    "bad", [{"id": 7}, {"writer": 7}, {"resume": "x"}, {"resume": []}, {"id": None}]
)
def test_what_says_which_run_it_is_cannot_be_cleaned(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be"):
        clean_run({"id": "i", "project": "p", "name": "n"} | bad)
