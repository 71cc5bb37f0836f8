"""A run's settings by name and in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from htga_client.wire import Run

NONE = "(none)"
"""In place of a setting that a run does not have."""

_json = json.JSONEncoder(ensure_ascii=False).encode
"""`json.dumps` would make an encoder for each of a thousand runs' settings."""

GROUP = "group"
"""Stands among the settings for the group that a run was given, where no setting has its name."""


def flat(config: Mapping[str, Any], within: str = "") -> dict[str, str]:
    """Settings in words by name; what is nested is named by its path, with dots."""
    found: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{within}{name}.")
        else:
            text = value if isinstance(value, str) else _json(value)
            found[within + name] = text
    return found


def named(name: str, runs: Sequence[Run]) -> str:
    """What the collector calls a setting of these runs, or their group."""
    is_group = name == GROUP and not any(GROUP in flat(run.config) for run in runs)
    return name if is_group else f"config.{name}"
