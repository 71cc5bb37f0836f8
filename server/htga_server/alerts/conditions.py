"""Detectors: conditions on the values of a key, and where they begin. Pure functions of arrays.

Whether a detector fires at a value depends on that value and at most `context` values before it.
So it fires at the same steps whether the values arrive at once or one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from htga_client.wire import Level, NewRule

BASELINE_VALUES = 100
"""Values whose median is the baseline."""
GROWTH = 3.0
"""A loss above so many times its baseline diverges."""
REARM_STEPS = 50
"""A run that diverges again within so many steps has not stopped diverging."""
LOSSES = ("loss", "train_loss", "train/loss")
GRADIENTS = ("grad_norm",)

Steps = NDArray[np.int64]
Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Detector:
    """A condition on the values of a key, and the event that it makes.

    Attributes:
        key: A scalar or a metric.
        kind, title: Kind and title of the event.
        level: Returns the level of the event for a value.
        context: Maximum number of earlier values that decide about a value.
        fires: Returns the mask of values, with increasing steps and of shape [N], at which the
            detector fires. The first `context` entries are valid only if no values precede them.
        text: Returns the text of the event for a value.
        webhook: URL to post the event to.
    """

    key: str
    kind: str
    level: Callable[[float], Level]
    title: str
    context: int
    fires: Callable[[Steps, Values], Mask]
    text: Callable[[float], str]
    webhook: str | None = None


def from_rule(rule: NewRule) -> Detector:
    """Return the detector of a rule."""
    return Detector(
        key=rule.key,
        kind="alert",
        level=lambda _value: rule.level,
        title=rule.name,
        context=rule.steps + (BASELINE_VALUES if rule.kind == "burst" else 0),
        fires=lambda _steps, values: after_n(holds(rule, values), rule.steps),
        text=lambda value: _words(rule, value),
        webhook=rule.webhook,
    )


def divergence(key: str) -> Detector:
    """Return the detector for a loss that explodes, or a loss or gradient that is not finite.

    The loss of a batch may jump in a healthy training, so a finite one is only a warning.
    """
    diverges = grows if key in LOSSES else lambda values: ~np.isfinite(values)
    jump = f"more than {GROWTH:g} times the median of the {BASELINE_VALUES} values before"
    return Detector(
        key=key,
        kind="divergence",
        level=lambda value: "warning" if math.isfinite(value) else "error",
        title=f"{key} diverges",
        context=BASELINE_VALUES + REARM_STEPS,
        fires=lambda steps, values: rising_edges(steps, diverges(values), REARM_STEPS),
        text=lambda value: f"{key} is {value:g}: {jump if math.isfinite(value) else 'not finite'}",
    )


def holds(rule: NewRule, values: Values) -> Mask:
    """Return where the condition of a rule holds."""
    match rule.kind:
        case "below":
            return values < rule.threshold
        case "above":
            return values > rule.threshold
        case "at_bound":
            near: Mask = np.abs(values - rule.threshold) <= 1e-6 * abs(rule.threshold)
            return near
        case "burst":
            return values > rule.threshold * rolling_median(values)
        case "nonfinite":
            return ~np.isfinite(values)


def grows(values: Values) -> Mask:
    """Return where a loss is not finite, or far above its baseline."""
    before = rolling_median(values)
    return ~np.isfinite(values) | ((before > 0) & (values > GROWTH * before))


def rolling_median(values: Values) -> Values:
    """Return the median of the finite ones among the `BASELINE_VALUES` values before each.

    It is NaN where fewer values precede, or none of them is finite.
    """
    found = np.full(values.size, np.nan)
    if values.size > BASELINE_VALUES:
        finite = np.where(np.isfinite(values), values, np.nan)
        ordered = np.sort(
            np.lib.stride_tricks.sliding_window_view(finite, BASELINE_VALUES)[:-1], axis=1
        )
        number = np.isfinite(ordered).sum(axis=1)  # NaN comes last
        middle = np.stack([np.maximum(number - 1, 0) // 2, number // 2], axis=1)
        found[BASELINE_VALUES:] = (np.take_along_axis(ordered, middle, axis=1) / 2).sum(axis=1)
    return found


def after_n(mask: Mask, n: int) -> Mask:
    """Return the places of the n-th of consecutive true values."""
    place = np.arange(mask.size)
    last_false: Steps = np.maximum.accumulate(np.where(mask, -1, place))
    found: Mask = mask & (place == last_false + n)
    return found


def rising_edges(steps: Steps, mask: Mask, apart: int) -> Mask:
    """Return the true values without another one at most `apart` steps before them."""
    found = np.zeros(mask.size, np.bool_)
    at = steps[mask]
    found[mask] = np.diff(at, prepend=at[:1] - apart - 1) > apart
    return found


def _words(rule: NewRule, value: float) -> str:
    meaning = {
        "below": f"below {rule.threshold:g}",
        "above": f"above {rule.threshold:g}",
        "at_bound": f"at its bound {rule.threshold:g}",
        "burst": f"more than {rule.threshold:g} times the median"
        f" of the {BASELINE_VALUES} values before",
        "nonfinite": "not finite",
    }[rule.kind]
    lasting = f", {rule.steps} times in a row" if rule.steps > 1 else ""
    return f"{rule.key} is {value:g}: {meaning}{lasting}"
