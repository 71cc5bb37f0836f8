"""Settings from arguments, environment variables or defaults, and their validation."""

from __future__ import annotations

import contextlib
import operator
import os
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from htga_client.run_ids import uuid7
from htga_client.wire.text import as_text, shown

T = TypeVar("T", bound=str)

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def setting(argument: Any, variable: str, default: Any) -> Any:
    """The argument, or else HTGA_<variable> if it is not empty, or else the default.

    A value from the environment is text.
    """
    if argument is not None:
        return argument
    return os.environ.get(f"HTGA_{variable}") or default


def _either(name: str) -> str:
    """An argument and its variable for an error message, since the value may come from either."""
    return f"{name} (or HTGA_{name.upper()})"


def choice(name: str, value: str | None, known: Sequence[T]) -> T:
    """One of a few words.

    Raises:
        ValueError: It is not one of them.
    """
    for word in known:
        if value == word:
            return word
    raise ValueError(
        f"{_either(name)} must be one of {', '.join(map(repr, known))}, got {shown(value)}"
    )


def integer(name: str, value: int | str, *, at_least: int) -> int:
    """A whole number.

    Raises:
        ValueError: It is not an integer, or too small.
    """
    try:
        number = int(value) if isinstance(value, str) else operator.index(value)
    except Exception:  # noqa: BLE001  it may be any object
        number = at_least - 1
    if number < at_least:
        raise ValueError(
            f"{_either(name)} must be an integer of at least {at_least}, got {shown(value)}"
        )
    return number


def optional_share(name: str, value: float | str | None) -> float | None:
    """A share above 0 and up to 1, or None.

    Raises:
        ValueError: It is not such a number.
    """
    if value is None:
        return None
    try:
        share = float(value)
    except Exception:  # noqa: BLE001  it may be any object
        share = -1.0
    if not 0 < share <= 1:
        raise ValueError(
            f"{_either(name)} must be above 0 and at most 1, such as 0.01, got {shown(value)}"
        )
    return share


def flag(name: str, value: bool | str) -> bool:
    """A boolean.

    Raises:
        ValueError: The text is not a boolean.
    """
    word = as_text(value).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{_either(name)} must be true or false, got {shown(value)}")
    return word in _TRUE


def words(value: object) -> tuple[str, ...]:
    """Several words, of whatever kind; text is split at commas."""
    if isinstance(value, str):
        parts: list[object] = list(value.split(","))
    else:
        parts = list(value) if isinstance(value, Iterable) else [value]
    found = (part if isinstance(part, str) else as_text(part) for part in parts)
    return tuple(word.strip() for word in found if word.strip())


def folder(name: str, value: str | Path) -> Path:
    """A folder, which need not exist.

    Raises:
        ValueError: It is not a path.
    """
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise ValueError(f"{_either(name)} must be the path of a folder, got {shown(value)}")
    path = Path(value)
    with contextlib.suppress(OSError):  # the current folder may be gone
        path = path.absolute()
    return path


def run_id(text: str | uuid.UUID) -> str:
    """A run's UUID, a new one if `text` is empty.

    Raises:
        ValueError: It is not a UUID.
    """
    try:
        return str(uuid.UUID(as_text(text)) if text else uuid7())
    except ValueError:
        raise ValueError(
            f"{_either('run_id')} must be a UUID, got {shown(text)}; leave it out for a new run, "
            "and use name for a label"
        ) from None
