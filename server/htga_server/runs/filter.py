"""The language of a search for runs.

A search is a list of terms, and a run matches if every one of them holds, in any case of letters:

    maple "two words"           text anywhere in the run: its id, notes, name, a setting, ...
    state:running  lr:0.        part of a value
    lr=0.1  method!=sgd         a whole value; numbers compare as numbers
    lr<0.01  alpha_bar>=1.5     a number
    -tag:old                    the term does not hold

A key is a field of the run (`FIELDS`, or the aliases tag and run), a scalar or metric with its
latest value, or a setting by its path (`optimizer.lr`) or the last part of it (`lr`). Where a run
has several values of a key, such as tags, one of them is enough; `!=` is the negation of `=`.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from htga_client.wire import flat_config

FIELDS = frozenset({"name", "project", "state", "group", "tags", "step", "archived"})
"""Keys that every run has, whatever its settings are called."""

_ALIASES = {"tag": "tags", "run": "name"}
_TERM = re.compile(r"""(-?)(?:([^\s"':=<>!]+)(!=|<=|>=|[:=<>]))?("[^"]*"?|[^\s"]+)""")
_PLAIN = re.compile(r"[\w %-]*")  # stands in JSON as it does in a name or in a value
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of a search.

    Attributes:
        key: Name of a value in lower case; empty for text anywhere in a run.
        sign: One of : = < > <= >=, empty without a key; `!=` is a negated `=`.
        text: What the value is compared with, in lower case.
        number: The same as a number, if it is one.
        negated: Whether a run matches if the term does not hold.
    """

    key: str
    sign: str
    text: str
    number: float | None
    negated: bool


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What a search may look at of one run; the two JSON texts are decoded when a term needs them.

    Attributes:
        id, notes: Found by text only.
        name, project, state, group, tags, step, archived: The fields; `step` may be None.
        config: JSON text of the settings.
        summary: JSON text of the latest values, by the name of the scalar or metric.
    """

    id: str
    notes: str
    name: str
    project: str
    state: str
    group: str
    tags: Sequence[str]
    step: int | None
    archived: bool
    config: str
    summary: str

    @cached_property
    def settings(self) -> list[tuple[str, Any]]:
        """Path, in lower case, and value of every setting."""
        return [
            (path.lower(), value) for path, value in flat_config.leaves(json.loads(self.config))
        ]

    @cached_property
    def measured(self) -> list[tuple[str, float]]:
        """Name, in lower case, and latest value of every scalar and metric."""
        return [(name.lower(), float(value)) for name, value in json.loads(self.summary).items()]

    def values(self, key: str) -> list[str]:
        """Every value of `key` as text in lower case; there is none if the run has no such key."""
        match key:
            case "tags":
                return [tag.lower() for tag in self.tags]
            case "step":
                return [] if self.step is None else [str(self.step)]
            case "archived":
                return ["yes" if self.archived else "no"]
            case "name" | "project" | "state" | "group":
                fields = {"name": self.name, "project": self.project, "state": self.state}
                return [fields.get(key, self.group).lower()]
        found = []
        if _may_hold(self.summary, key):
            found += [repr(v).removesuffix(".0") for name, v in self.measured if name == key]
        if _may_hold(self.config, key.rpartition(".")[2]):
            found += [
                flat_config.text(value).lower()
                for path, value in self.settings
                if path == key or path.endswith(f".{key}")
            ]
        return found

    def contains(self, wanted: str) -> bool:
        """Whether `wanted`, in lower case, stands anywhere in the run."""
        own = (self.id, self.notes, self.name, self.project, self.state, self.group, *self.tags)
        return any(wanted in value.lower() for value in own) or (
            _may_hold(self.config, wanted)
            and any(
                wanted in f"{path}={flat_config.text(value).lower()}"
                for path, value in self.settings
            )
        )


def parse(search: str) -> tuple[Term, ...]:
    """The terms of a search; every text is one, since what has no sign is a word to look for."""
    return tuple(_terms(search))


def keys_of(terms: Iterable[Term]) -> set[str]:
    """The keys of `terms` that a run need not have: neither empty nor a field."""
    return {term.key for term in terms} - FIELDS - {""}


def matches(terms: Iterable[Term], run: Candidate) -> bool:
    """Whether every term holds for `run`."""
    return all(_holds(term, run) is not term.negated for term in terms)


def _terms(search: str) -> Iterator[Term]:
    for minus, key, sign, quoted in _TERM.findall(search):
        name = key.lower()
        negated = (minus == "-") is not (sign == "!=")
        said = quoted.replace('"', "").lower()
        yield Term(
            key=_ALIASES.get(name, name),
            sign="=" if sign == "!=" else sign,
            text=said,
            number=_number(said),
            negated=negated,
        )


def _holds(term: Term, run: Candidate) -> bool:
    if not term.key:
        return run.contains(term.text)
    values = run.values(term.key)
    if term.sign == ":":
        return any(term.text in value for value in values)
    if term.sign == "=" and term.text in values:
        return True
    if term.number is None:
        return False
    numbers = (number for value in values if (number := _number(value)) is not None)
    return any(_COMPARE[term.sign](number, term.number) for number in numbers)


def _may_hold(json_text: str, wanted: str) -> bool:
    """False if no name and no value in a JSON text can hold `wanted`: most need no decoding."""
    plain = wanted.isascii() and _PLAIN.fullmatch(wanted) is not None and "\\" not in json_text
    return not plain or wanted in json_text.lower()


def _number(word: str) -> float | None:
    """A word as a number, or None: `float` alone would take "1_000" and NaN, too."""
    try:
        number = float(word)
    except ValueError:
        return None
    return None if math.isnan(number) or "_" in word else number
