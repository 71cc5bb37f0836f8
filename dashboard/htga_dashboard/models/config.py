"""The names of settings, and of a run's group among them."""

from __future__ import annotations

from collections.abc import Sequence

from htga_client.wire import Run
from htga_client.wire.flat_config import flat

GROUP = "group"
"""Stands among the settings for the run's group, unless a setting has that name."""


def named(name: str, runs: Sequence[Run]) -> str:
    """The collector's name for a setting of `runs`, or for their group."""
    is_group = name == GROUP and not any(GROUP in flat(run.config) for run in runs)
    return name if is_group else f"config.{name}"
