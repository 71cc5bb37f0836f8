"""Conversion between the resources of `wire` and JSON text."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import operator
import types
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from htga_client.wire.text import as_text, clean_text, shown

T = TypeVar("T")

MAX_DEPTH = 8
WRAPPING = 4
"""Levels that resources and files add around a config of `MAX_DEPTH` levels."""

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def dumps(resource: object) -> bytes:
    """Encode a dataclass; non-finite numbers become the strings that `wire` prescribes."""
    return compact(to_jsonable(resource, depth=MAX_DEPTH + WRAPPING)).encode()


def compact(value: object) -> str:
    """The ASCII text of what `to_jsonable` returns, without spaces."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


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
    """A copy that JSON can hold: numbers, text, lists and dicts with text as keys. Never raises.

    Numbers of other libraries become Python's. Integers beyond 64 bits, values nested deeper than
    `depth`, and objects of other kinds become their `repr`. Text is cleaned by `clean_text`.
    """
    return JsonConverter().convert(value, depth)


class JsonConverter:
    """Converts values as `to_jsonable` does.

    Attributes:
        replaced: Whether a character of a text had to be replaced.
    """

    def __init__(self) -> None:
        self.replaced = False

    def convert(self, value: object, depth: int = MAX_DEPTH) -> Any:
        """Convert a value; what raises on the way becomes its `repr`, and its siblings stay."""
        try:
            return self._convert(value, depth)
        except Exception:  # noqa: BLE001  foreign code, which may raise anything
            return shown(value, None)

    def _convert(self, value: object, depth: int) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, Real):  # a bool is one, too
            return _scalar(value)
        if depth > 0:
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                names = [field.name for field in dataclasses.fields(value)]
                return {name: self._item(getattr, value, name, depth) for name in names}
            if isinstance(value, Mapping):
                get = operator.getitem
                return {self._key(key): self._item(get, value, key, depth) for key in value}
            if isinstance(value, (list, tuple, AbstractSet)):
                return [self.convert(item, depth - 1) for item in value]
        return shown(value, None)

    def _item(self, get: Callable[[Any, Any], Any], of: object, key: Any, depth: int) -> Any:
        try:
            item = get(of, key)
        except Exception as error:  # noqa: BLE001  as in `convert`: a lazy or missing value
            return f"<{type(error).__name__}>"
        return self.convert(item, depth - 1)

    def _key(self, key: object) -> str:
        return self._text(key) if isinstance(key, str) else as_text(key)

    def _text(self, text: str) -> str:
        clean = clean_text(text)
        self.replaced |= clean != text
        return clean


def _scalar(value: Any) -> float | str | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value) if -(2**63) <= int(value) < 2**63 else repr(int(value))
    return json_number(float(value))


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
