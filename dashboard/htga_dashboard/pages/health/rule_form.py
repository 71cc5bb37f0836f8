"""The form of an alert rule, and the rule that its fields describe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from dash import dcc, html
from dash.development.base_component import Component

from htga_client.wire import SCALARS, Level, NewRule, RuleKind
from htga_dashboard.components import ids
from htga_dashboard.components.controls import dropdown, field
from htga_dashboard.models.number_format import significant

KINDS: dict[RuleKind, str] = {
    "below": "is below",
    "above": "is above",
    "at_bound": "stands at",
    "burst": "bursts above",
    "nonfinite": "is NaN or infinite",
}
YES_NO = ["yes", "no"]
NEW = "New rule"

FORM = (
    ids.RULE_PROJECT,
    ids.RULE_NAME,
    ids.RULE_KIND,
    ids.RULE_KEY,
    ids.RULE_THRESHOLD,
    ids.RULE_STEPS,
    ids.RULE_LEVEL,
    ids.RULE_WEBHOOK,
    ids.RULE_ENABLED,
)


def form(projects: Sequence[str], keys: Sequence[str]) -> Component:
    """The form, filled in with an example."""

    def text(id_: str, value: str = "", **more: Any) -> Component:
        return dcc.Input(id=id_, type="text", value=value, autoComplete="off", **more)

    levels, first = list(get_args(Level)), next(iter(projects), "")
    return html.Article(
        [
            html.Header(html.H2(NEW, id=ids.RULE_TITLE)),
            html.Div(
                [
                    field("Name", text(ids.RULE_NAME, placeholder="its condition"), wide=True),
                    field("Project", dropdown(ids.RULE_PROJECT, list(projects), first)),
                    field("Value", dropdown(ids.RULE_KEY, list(keys), "alpha_bar")),
                    field("Condition", dropdown(ids.RULE_KIND, KINDS, "below")),
                    field("Threshold", text(ids.RULE_THRESHOLD, "1.2", inputMode="decimal")),
                    field("In a row", text(ids.RULE_STEPS, "5", inputMode="numeric")),
                    field("Level", dropdown(ids.RULE_LEVEL, levels, "warning")),
                    field(
                        "Webhook, if any",
                        text(ids.RULE_WEBHOOK, placeholder="https://..."),
                        wide=True,
                    ),
                    field("Watched", dropdown(ids.RULE_ENABLED, YES_NO, YES_NO[0])),
                ],
                className="controls",
            ),
            html.Div(
                [
                    html.Button("Save", id=ids.RULE_SAVE, className="button primary"),
                    html.Button("Try on past runs", id=ids.RULE_TRY, className="button"),
                    html.Button("New", id=ids.RULE_NEW, className="button"),
                    html.Span(id=ids.RULE_MESSAGE, role="status", className="hint"),
                ],
                className="actions",
            ),
            html.Div(id=ids.RULE_FIRINGS, className="firings"),
        ],
        className="card rule-form",
    )


def rule_of(fields: Sequence[Any]) -> NewRule:
    """The rule that the values of the form, in the order of `FORM`, describe.

    A rule without a name is named after its condition.

    Raises:
        ValueError: A value is missing or no number; the message names it.
    """
    project, name, kind, key, threshold, steps, level, webhook, enabled = fields
    if not project:
        raise ValueError("Choose the project of the runs to watch.")
    rule = NewRule(
        project=project,
        name=(name or "").strip(),
        kind=kind,
        key=key or "",
        threshold=_number("The threshold", threshold) if kind != "nonfinite" else 0.0,
        steps=round(_number("How many in a row", steps)),
        level=level,
        webhook=(webhook or "").strip() or None,
        enabled=enabled == YES_NO[0],
    )
    return rule if rule.name else replace(rule, name=condition(rule))


def values(rule: NewRule) -> list[Any]:
    """The values of the form for a rule, in the order of `FORM`."""
    return [
        rule.project,
        rule.name,
        rule.kind,
        rule.key,
        f"{rule.threshold:g}",
        str(rule.steps),
        rule.level,
        rule.webhook or "",
        YES_NO[0] if rule.enabled else YES_NO[1],
    ]


def condition(rule: NewRule) -> str:
    """The condition of a rule in words."""
    text = f"{rule.key} {KINDS[rule.kind]}"
    if rule.kind == "burst":
        text += f" {significant(rule.threshold)} times its median"
    elif rule.kind != "nonfinite":
        text += f" {significant(rule.threshold)}"
    return text if rule.steps == 1 else f"{text}, {rule.steps:,} values in a row"


def keys_of(metrics: Sequence[str]) -> list[str]:
    """Keys that a rule can watch: scalars of the probe, then metrics."""
    return [*SCALARS, *(name for name in metrics if name not in SCALARS)]


def _number(name: str, text: str | None) -> float:
    try:
        number = float(text or "")
    except ValueError:
        raise ValueError(f"{name} must be a number, not {text or 'nothing'!r}.") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite.")
    return number
