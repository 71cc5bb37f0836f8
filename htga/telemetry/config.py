"""Conversion of a run's configuration to JSON."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from htga_client.wire.json_codec import to_jsonable


def config_of(config: object) -> dict[str, Any]:
    """A configuration as JSON; values that JSON cannot hold become their `repr`.

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
        result: dict[str, Any] = to_jsonable(config)
        return result
    raise TypeError(
        "config must be a mapping, a dataclass, an argparse.Namespace or the path of a YAML or "
        f"JSON file, got {config!r:.100}"
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except (OSError, ValueError) as error:
        raise ValueError(f"config {str(path)!r} cannot be read: {error}") from error
    if not isinstance(content, Mapping):
        raise TypeError(f"config {str(path)!r} must hold a mapping, got {content!r:.100}")
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
