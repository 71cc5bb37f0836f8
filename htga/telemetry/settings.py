"""Settings from arguments, environment variables or defaults, and their validation."""

from __future__ import annotations

import operator
import os
import uuid
from collections.abc import Sequence
from typing import Any, TypeVar

from htga_client.run_ids import uuid7

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
    raise ValueError(f"{_either(name)} must be one of {', '.join(map(repr, known))}, got {value!r}")


def integer(name: str, value: int | str, *, at_least: int) -> int:
    """A whole number.

    Raises:
        ValueError: It is not an integer, or too small.
    """
    try:
        number = int(value) if isinstance(value, str) else operator.index(value)
    except (ValueError, TypeError):
        number = at_least - 1
    if number < at_least:
        raise ValueError(
            f"{_either(name)} must be an integer of at least {at_least}, got {value!r}"
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
    except (ValueError, TypeError):
        share = -1.0
    if not 0 < share <= 1:
        raise ValueError(
            f"{_either(name)} must be above 0 and at most 1, such as 0.01, got {value!r}"
        )
    return share


def flag(name: str, value: bool | str) -> bool:
    """A boolean.

    Raises:
        ValueError: The text is not a boolean.
    """
    word = str(value).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{_either(name)} must be true or false, got {value!r}")
    return word in _TRUE


def words(value: str | Sequence[str]) -> tuple[str, ...]:
    """Several words; text is split at commas."""
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(part.strip() for part in parts if part.strip())


def run_id(text: str) -> str:
    """A run's UUID, a new one if `text` is empty.

    Raises:
        ValueError: It is not a UUID.
    """
    try:
        return str(uuid.UUID(text) if text else uuid7())
    except (ValueError, AttributeError):
        raise ValueError(
            f"{_either('run_id')} must be a UUID, got {text!r}; leave it out for a new run, "
            "and use name for a label"
        ) from None
