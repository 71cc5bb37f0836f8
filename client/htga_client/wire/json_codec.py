"""Conversion between the resources of `wire` and JSON text."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

MAX_DEPTH = 8

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def dumps(resource: object) -> bytes:
    """Encode a dataclass; non-finite numbers become the strings that `wire` prescribes."""
    return json.dumps(to_jsonable(resource), allow_nan=False, separators=(",", ":")).encode()


def loads(cls: type[T], data: bytes) -> T:
    """Decode the dataclass `cls` from JSON; unknown members are ignored.

    Raises:
        ValueError: `data` is not JSON, or not of that shape.
    """
    try:
        value: T = _build(cls, json.loads(data))
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not the JSON of a {cls.__name__}: {error}") from error
    return value


def to_jsonable(value: object, *, depth: int = MAX_DEPTH) -> Any:
    """A copy that JSON can hold: numbers, text, lists and dicts with text as keys.

    Numbers of other libraries become Python's. Integers beyond 64 bits, values nested deeper than
    `depth`, and objects of other kinds become their `repr`.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value) if -(2**63) <= int(value) < 2**63 else repr(int(value))
    if isinstance(value, Real):
        return json_number(float(value))
    if depth > 0:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {str(key): to_jsonable(item, depth=depth - 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, AbstractSet)):
            return [to_jsonable(item, depth=depth - 1) for item in value]
    return repr(value)


def json_number(number: float) -> float | str:
    """A number as JSON writes it: itself, or "NaN", "Infinity" or "-Infinity"."""
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _build(kind: Any, value: Any) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if kind is float:
        return _NON_FINITE[value] if isinstance(value, str) else float(value)
    if dataclasses.is_dataclass(kind):
        hints = _hints(kind)  # type: ignore[arg-type]  # a class, not an instance: `kind` is a type
        known = {key: _build(hints[key], item) for key, item in value.items() if key in hints}
        return kind(**known)  # type: ignore[operator]  # see above
    if origin in (Union, types.UnionType):
        return None if value is None else _build(args[0], value)
    if origin in (list, tuple):
        return origin(_build(args[0], item) for item in value)
    if origin is dict:
        return {key: _build(args[1], item) for key, item in value.items()}
    if kind is Any or origin is Literal or isinstance(value, kind):
        return value
    raise TypeError(f"expected {kind.__name__}, got {value!r:.100}")
