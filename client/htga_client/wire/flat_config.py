"""A run's config as flat settings: text by dotted path, the same on server, page and client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

NONE = "(none)"
"""Stands for a setting that a run does not have."""

# json.dumps would build an encoder for every value of a thousand runs.
_encode = json.JSONEncoder(ensure_ascii=False).encode


def flat(config: Mapping[str, Any]) -> dict[str, str]:
    """Text of every setting by its path: `{"net": {"width": 8}}` gives `{"net.width": "8"}`."""
    return {path: text(value) for path, value in leaves(config)}


def leaves(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Path and value of every setting that is not a mapping of others."""
    return (
        (path, value) for path, value in _paths(config) if not (isinstance(value, dict) and value)
    )


def setting(config: Mapping[str, Any], path: str) -> str:
    """Text of the setting at `path`, JSON where it is a mapping, `NONE` where there is none."""
    found = dict(_paths(config))
    return text(found[path]) if path in found else NONE


def text(value: Any) -> str:
    """A value as text: a string as it is, all else as JSON."""
    if type(value) is int:  # as JSON, at a tenth of the time
        return str(value)
    return value if isinstance(value, str) else _encode(value)


def _paths(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        yield prefix + name, value
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{name}.")
