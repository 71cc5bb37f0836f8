from __future__ import annotations

from typing import Any

import pytest

from htga_client.wire.flat_config import NONE, flat, setting

CONFIG: dict[str, Any] = {
    "lr": 0.1,
    "net": {"width": 8, "act": "relu", "sizes": [1, 2.5]},
    "a.b": True,
    "extra": {},
    "note": "größe",
    "none": None,
    "seed": -3,
}


def test_nested_settings_are_named_by_their_path_and_given_as_text() -> None:
    assert flat(CONFIG) == {
        "lr": "0.1",
        "net.width": "8",
        "net.act": "relu",
        "net.sizes": "[1, 2.5]",
        "a.b": "true",
        "extra": "{}",
        "note": "größe",
        "none": "null",
        "seed": "-3",
    }


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("lr", "0.1"),
        ("net.act", "relu"),
        ("net", '{"width": 8, "act": "relu", "sizes": [1, 2.5]}'),
        ("a.b", "true"),
        ("extra", "{}"),
        ("b", NONE),
        ("net.depth", NONE),
        ("", NONE),
    ],
)
def test_a_setting_is_found_by_its_whole_path(path: str, text: str) -> None:
    assert setting(CONFIG, path) == text


@pytest.mark.parametrize("config", [{"a.b": 1, "a": {"b": 2}}, {"a": {"b": 2}, "a.b": 1}])
def test_two_settings_of_one_path_read_the_same_both_ways(config: dict[str, Any]) -> None:
    assert flat(config)["a.b"] == setting(config, "a.b")
