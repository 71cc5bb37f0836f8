"""A run's configuration, from what a script has."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from htga_client.wire.text import shown


def config_of(config: object) -> Any:
    """A configuration as a mapping or a dataclass, to be converted to JSON.

    Args:
        config: A mapping, a dataclass, an `argparse.Namespace`, the path of a YAML or JSON file
            that holds a mapping, or None.

    Raises:
        TypeError: It is none of these, or the file does not hold a mapping.
        ValueError: The file cannot be read.
    """
    if isinstance(config, (str, Path)):
        config = _read(Path(config))
    if isinstance(config, Namespace):
        config = vars(config)
    if config is None:
        return {}
    if isinstance(config, Mapping) or (is_dataclass(config) and not isinstance(config, type)):
        return config
    raise TypeError(
        "config must be a mapping, a dataclass, an argparse.Namespace or the path of a YAML or "
        f"JSON file, got {shown(config, 100)}"
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"config {shown(str(path))} cannot be read: {error}") from error
    if not isinstance(content, Mapping):
        raise TypeError(f"config {shown(str(path))} must hold a mapping, got {shown(content, 100)}")
    return content


def _yaml(text: str) -> object:
    try:
        import yaml  # noqa: PLC0415  only YAML files need it
    except ModuleNotFoundError:
        raise ValueError("reading YAML needs PyYAML: pip install pyyaml") from None
    try:
        content: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(error) from error
    return content
