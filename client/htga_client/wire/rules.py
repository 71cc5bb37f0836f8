"""Rules that raise alerts, and where they fired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from htga_client.wire.events import Level
from htga_client.wire.shared import JSON_FLOATS

RuleKind = Literal["below", "above", "at_bound", "burst", "nonfinite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRule:
    """A condition on the runs of a project.

    A rule checks one key of the whole model, on each rank separately. It fires once when its
    condition has held for `steps` measured values in a row, and again only after it did not hold.

    Attributes:
        project: Project of the runs.
        name: Title of the events that the rule writes.
        kind: below, above: the value is less, or greater, than `threshold`; at_bound: it equals
            `threshold` up to rounding; burst: it is greater than `threshold` times the median
            of the 100 values before; nonfinite: it is NaN or infinite.
        key: A scalar such as alpha_bar, or a metric.
        threshold: See `kind`; unused by nonfinite.
        steps: Number of values in a row.
        level: Level of the events.
        webhook: An https address to post to; None for none.
        enabled: Whether the rule is checked at all.
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
    """A stored rule; the collector generates its `id`, a UUID."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Rules, oldest first."""

    items: tuple[Rule, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The body of `POST /rules/try`: a rule to try on stored runs.

    Attributes:
        runs: Ids of the runs to try it on; empty for all runs of the rule's project.
        cursor: `Firings.next` of the previous answer.
    """

    rule: NewRule
    runs: tuple[str, ...] = ()
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """Where a rule fired, or would have: the run, the step and the value."""

    __pydantic_config__: ClassVar[dict[str, Any]] = JSON_FLOATS

    run_id: str
    run_name: str
    rank: int
    step: int
    value: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firings:
    """Where a rule would have fired, newest run first.

    Attributes:
        next: The cursor of the other runs.
        damaged: A sentence for each damaged file of the archive, whose run was not tried.
    """

    items: tuple[Firing, ...]
    next: str | None = None
    damaged: tuple[str, ...] = ()
