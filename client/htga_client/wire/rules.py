"""Rules of what is to be watched, and where they fired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from htga_client.wire.events import Level
from htga_client.wire.shared import JSON_FLOATS

RuleKind = Literal["below", "above", "at_bound", "burst", "nonfinite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRule:
    """What is to be watched in the runs of a project.

    It looks at one key of the whole model, on each rank for itself, and fires once when what it
    says has held for `steps` measured values in a row; to fire again it must first not hold.

    Attributes:
        project: Whose runs it is for.
        name: The title of the events that it writes.
        kind: below, above: the value is less, or greater, than `threshold`; at_bound: it equals
            `threshold`, but for rounding; burst: it is greater than `threshold` times the median
            of the 100 values before; nonfinite: it is NaN or infinite.
        key: A scalar such as alpha_bar, or a metric.
        threshold: See `kind`; nothing to nonfinite.
        steps: How many values in a row.
        level: Of the events.
        webhook: An https address that is told, too.
        enabled: Whether it is watched at all.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = JSON_FLOATS

    project: str
    name: str
    kind: RuleKind
    key: str
    threshold: float = 0.0
    steps: int = 1
    level: Level = "warning"
    webhook: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(NewRule):
    """A rule that the collector keeps; `id` is a UUID of its making."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Rules, oldest first."""

    items: tuple[Rule, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The body of `POST /rules/try`: a rule, to be tried on what is stored.

    Attributes:
        runs: Ids of the runs to try it on; empty for all runs of the rule's project.
        cursor: `Firings.next` of the answer before.
    """

    rule: NewRule
    runs: tuple[str, ...] = ()
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """A rule that fired, or would have: in which run, at which step, at what value."""

    __pydantic_config__: ClassVar[dict[str, Any]] = JSON_FLOATS

    run_id: str
    run_name: str
    rank: int
    step: int
    value: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firings:
    """Where a rule would have fired, newest run first; `next` is for the runs not looked at yet."""

    items: tuple[Firing, ...]
    next: str | None = None
