"""What a person should see in the values of a key, and where it begins. Pure functions of arrays.

Whether an alarm goes off at a value depends on that value and on no more than `context` values
before it. So it goes off at the same steps however the values come, all at once or one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from htga_client.wire import Level, NewRule

WINDOW = 100
"""Values whose median says what is usual."""
GROWTH = 3.0
"""Times the usual loss that count as divergence."""
APART = 50
"""Steps; a run that diverges again within them has not stopped diverging."""
LOSSES = ("loss", "train_loss", "train/loss")
GRADIENTS = ("grad_norm",)

Steps = NDArray[np.int64]
Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Alarm:
    """What to look for in the values of a key.

    Attributes:
        key: A scalar, or a metric.
        kind, title: Of the event.
        level: Of the event, by the value.
        context: Number of values before one that decide about it, at most.
        goes_off: Says of values with increasing steps, shape [N], where it goes off. What it says
            of the first `context` holds only if no values came before them.
        text: What it says of a value.
        webhook: Who is told, too.
    """

    key: str
    kind: str
    level: Callable[[float], Level]
    title: str
    context: int
    goes_off: Callable[[Steps, Values], Mask]
    text: Callable[[float], str]
    webhook: str | None = None


def of_rule(rule: NewRule) -> Alarm:
    """The alarm that a rule describes."""
    return Alarm(
        key=rule.key,
        kind="alert",
        level=lambda _value: rule.level,
        title=rule.name,
        context=rule.steps + (WINDOW if rule.kind == "burst" else 0),
        goes_off=lambda _steps, values: nth_in_a_row(holds(rule, values), rule.steps),
        text=lambda value: _words(rule, value),
        webhook=rule.webhook,
    )


def divergence(key: str) -> Alarm:
    """The alarm for a loss that explodes, or for a loss or a gradient that is not finite.

    A batch's loss may jump in a training that goes well, so a finite one is no more than a warning.
    """
    diverges = grows if key in LOSSES else lambda values: ~np.isfinite(values)
    jump = f"more than {GROWTH:g} times the median of the {WINDOW} values before"
    return Alarm(
        key=key,
        kind="divergence",
        level=lambda value: "warning" if math.isfinite(value) else "error",
        title=f"{key} diverges",
        context=WINDOW + APART,
        goes_off=lambda steps, values: begins(steps, diverges(values), APART),
        text=lambda value: f"{key} is {value:g}: {jump if math.isfinite(value) else 'not finite'}",
    )


def holds(rule: NewRule, values: Values) -> Mask:
    """Where a value is what a rule speaks of."""
    match rule.kind:
        case "below":
            return values < rule.threshold
        case "above":
            return values > rule.threshold
        case "at_bound":
            near: Mask = np.abs(values - rule.threshold) <= 1e-6 * abs(rule.threshold)
            return near
        case "burst":
            return values > rule.threshold * usual(values)
        case "nonfinite":
            return ~np.isfinite(values)


def grows(values: Values) -> Mask:
    """Where a loss is not finite, or far above what it was."""
    before = usual(values)
    return ~np.isfinite(values) | ((before > 0) & (values > GROWTH * before))


def usual(values: Values) -> Values:
    """The median of those of the `WINDOW` values before each that are finite.

    It is NaN where there are fewer values before, or none of them is finite.
    """
    found = np.full(values.size, np.nan)
    if values.size > WINDOW:
        finite = np.where(np.isfinite(values), values, np.nan)
        ordered = np.sort(np.lib.stride_tricks.sliding_window_view(finite, WINDOW)[:-1], axis=1)
        number = np.isfinite(ordered).sum(axis=1)  # NaN comes last
        middle = np.stack([np.maximum(number - 1, 0) // 2, number // 2], axis=1)
        found[WINDOW:] = (np.take_along_axis(ordered, middle, axis=1) / 2).sum(axis=1)
    return found


def nth_in_a_row(mask: Mask, n: int) -> Mask:
    """Where the n-th of consecutive true values stands."""
    place = np.arange(mask.size)
    last_false: Steps = np.maximum.accumulate(np.where(mask, -1, place))
    found: Mask = mask & (place == last_false + n)
    return found


def begins(steps: Steps, mask: Mask, apart: int) -> Mask:
    """The true values with no other one less than or equal to `apart` steps before them."""
    found = np.zeros(mask.size, np.bool_)
    at = steps[mask]
    found[mask] = np.diff(at, prepend=at[:1] - apart - 1) > apart
    return found


def _words(rule: NewRule, value: float) -> str:
    meaning = {
        "below": f"below {rule.threshold:g}",
        "above": f"above {rule.threshold:g}",
        "at_bound": f"at its bound {rule.threshold:g}",
        "burst": f"more than {rule.threshold:g} times the median of the {WINDOW} values before",
        "nonfinite": "not finite",
    }[rule.kind]
    lasting = f", {rule.steps} times in a row" if rule.steps > 1 else ""
    return f"{rule.key} is {value:g}: {meaning}{lasting}"
