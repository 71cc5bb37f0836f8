"""The charts of a run: what each of them shows, not how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from htga_client.wire import SCALARS, Run
from htga_dashboard.models.alpha_sample import control_scope, described
from htga_dashboard.models.measures_in_words import (
    DIRECTION,
    NOISE,
    NOISE_SCALE,
    NOISE_SHARE,
    NOISE_SLOPE,
    SHARPNESS,
    SPECTRA,
    UPDATE_RATIO,
)
from htga_dashboard.models.number_format import significant


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One key in a chart.

    Attributes:
        key: Scalar or metric.
        label: Its name in the legend.
        dots: Whether it is drawn as dots, each a measured value, instead of a line.
        dashed: Whether the line is dashed.
        stderr: Key of the standard error of a single value, for a band of 1.96 of them around the
            curve; empty for no band.
    """

    key: str
    label: str
    dots: bool = False
    dashed: bool = False
    stderr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One card of values over steps.

    Attributes:
        name: Name of the graph, unique on its page.
        title, note: Text of the card.
        about: What to know before one reads it, for a tooltip.
        curves: Its curves; those that the run has not measured are left out.
        log: Whether the y axis is logarithmic.
        levels: Reference values, drawn as horizontal lines, with their labels.
        hue: Index of the first curve's colour in the palette.
        wide: Whether the card takes two columns where there is room.
    """

    name: str
    title: str
    note: str
    curves: tuple[Curve, ...]
    log: bool = False
    levels: tuple[tuple[float, str], ...] = ()
    hue: int = 0
    wide: bool = False
    about: str = ""


MINUS = "\N{MINUS SIGN}"

METRICS = 48
"""Maximum number of user metrics that get a chart."""

ALPHA_IN_WORDS = (
    "Hill's index of the largest entries of the raw gradient. The band is alpha_bar"
    " \N{PLUS-MINUS SIGN} 1.96 standard errors of one step, which tell of scatter alone, as if"
    " entries were independent:"
    " the 95 % interval holds the index in 88 to 98 % of samples of laws close to Pareto's, in 0 to"
    " 92 % of Student's t with 3 degrees, in 0 to 84 % of a stable law of 1.8, and less often with"
    " more entries."
    " A finite index is no evidence of a power law."
)
"""What to know of the tail index before one reads it."""

HILL_IN_WORDS = (
    "Hill's index of every tail. Where the plot has no level stretch there is no power law. The xi"
    " of a row tells if the tail may be light, and errs: of 1,000 entries of Student's t with 2"
    " degrees it is called light in one sample of six; of 100,000 of a lognormal or a stretched"
    " exponential it is always called heavy. The laws are compared on the same tail by Vuong's"
    " likelihood ratio, as if entries were independent. " + ALPHA_IN_WORDS
)
"""What to know of a Hill plot before one reads it."""

TWO = (2.0, "\N{GREEK SMALL LETTER ALPHA} = 2")
"""The tail index below which the variance is infinite."""

PROBE = (
    Chart(
        name="tail",
        title="Tail index",
        note="heavier tails lie lower",
        about=ALPHA_IN_WORDS,
        curves=(
            Curve(key="alpha_hat", label="alpha_hat", dots=True),
            Curve(key="alpha_bar", label="alpha_bar", stderr="alpha_stderr"),
        ),
        levels=(TWO,),
        wide=True,
    ),
    Chart(
        name="noise",
        title="Noise between minibatches: tail index",
        note="2 is Gaussian, lower is heavier",
        about=NOISE,
        curves=(
            Curve(key="noise_alpha", label="noise_alpha", dots=True, stderr="noise_stderr"),
            Curve(key="noise_hill", label="noise_hill", dots=True),
            Curve(key="noise_norm_alpha", label="noise_norm_alpha", dots=True),
        ),
        levels=(TWO,),
        wide=True,
    ),
    Chart(
        name="noise-scale",
        title="Gradient noise scale",
        note="in samples, log scale",
        about=NOISE_SCALE,
        curves=(Curve(key="noise_scale", label="noise_scale", dots=True),),
        log=True,
        hue=1,
    ),
    Chart(
        name="noise-norm",
        title="Norm of the noise",
        note="of one minibatch, log scale",
        curves=(Curve(key="noise_norm", label="noise_norm", dots=True),),
        log=True,
        hue=2,
    ),
    Chart(
        name="noise-slope",
        title="Noise over batch size",
        note="slope in logarithms",
        about=NOISE_SLOPE,
        curves=(Curve(key="noise_slope", label="noise_slope", dots=True),),
        levels=((-0.5, "finite variance"),),
        hue=3,
    ),
    Chart(
        name="noise-share",
        title="Weights with light noise",
        note="share of those that were looked at",
        about=NOISE_SHARE,
        curves=(Curve(key="noise_share", label="noise_share", dots=True),),
        levels=((0.95, "Gaussian noise"),),
        hue=4,
    ),
    Chart(
        name="sharpness",
        title="Sharpness",
        note="largest eigenvalue of the Hessian",
        about=SHARPNESS,
        curves=(Curve(key="sharpness", label="sharpness", dots=True),),
        hue=5,
    ),
    Chart(
        name="spectra",
        title="Spectra of weights: tail index",
        note="mean over layers; random ones beside them",
        about=SPECTRA,
        curves=(
            Curve(key="esd_alpha", label="esd_alpha", dots=True),
            Curve(key="esd_alpha_null", label="random weights", dots=True),
        ),
        hue=4,
    ),
    Chart(
        name="gamma",
        title="Controller gain",
        note="gamma, within its bounds",
        curves=(Curve(key="gamma", label="gamma"),),
        hue=3,
    ),
    Chart(
        name="beta",
        title="Rank exponent",
        note="beta, within its bounds",
        curves=(Curve(key="beta", label="beta"),),
        hue=4,
    ),
    Chart(
        name="update",
        title="Tail index of the update",
        note="of what a step applies",
        about=(
            "update_alpha is Hill's index of what a step changed, where `tails` asks for it, and"
            " else what HTGA makes of the gradient; control_alpha is of what HTGA measures before"
            " it amplifies, target_alpha what it aims at. Sign-like optimizers such as Adam and"
            " Lion make steps of nearly equal size: their index is high whatever the gradient's."
        ),
        curves=(
            Curve(key="control_alpha", label="control_alpha", dots=True),
            Curve(key="update_alpha", label="update_alpha", stderr="update_stderr"),
            Curve(key="target_alpha", label="target_alpha", dashed=True),
        ),
        levels=(TWO,),
    ),
    Chart(
        name="weights",
        title="Tail index of the weights",
        note="before the step; heavier tails lie lower",
        about="Hill's index of the largest weights, by the same sketch as the gradient's.",
        curves=(Curve(key="weight_alpha", label="weight_alpha", stderr="weight_stderr"),),
        levels=(TWO,),
        hue=5,
    ),
    Chart(
        name="norm",
        title="Gradient norm",
        note="log scale",
        curves=(Curve(key="grad_norm", label="grad_norm"),),
        log=True,
        hue=2,
    ),
    Chart(
        name="variance",
        title="Variance of the gradient norm",
        note="over 100 steps, log scale",
        curves=(Curve(key="grad_norm_var", label="grad_norm_var"),),
        log=True,
        hue=2,
    ),
    Chart(
        name="ratio",
        title="Update ratio",
        note="length of a step over that of the weights, log scale",
        about=UPDATE_RATIO,
        curves=(Curve(key="update_ratio", label="update_ratio"),),
        log=True,
        hue=1,
    ),
    Chart(
        name="angle",
        title="Direction of the update",
        note="1: along the gradient",
        about=DIRECTION,
        curves=(
            Curve(key="update_cosine", label="update_cosine"),
            Curve(key="momentum_cosine", label="momentum_cosine"),
        ),
        levels=((0.0, "a right angle"),),
        hue=1,
    ),
    Chart(
        name="lengths",
        title="Length of update and weights",
        note="l2 norms, log scale",
        about="The two norms whose quotient is the update ratio.",
        curves=(
            Curve(key="update_norm", label="update_norm"),
            Curve(key="weight_norm", label="weight_norm"),
        ),
        log=True,
        hue=1,
    ),
    Chart(
        name="rate",
        title="Learning rate",
        note="of the first parameter group",
        about=(
            "What the optimizer used in this step. Groups whose rate differs have charts of their"
            " own, lr/1 and so on, by their number."
        ),
        curves=(Curve(key="lr", label="lr"),),
        hue=3,
    ),
)
"""The charts of the probe's scalars, in the order of the page."""

LAYER = (
    Chart(
        name="alpha_hat",
        title="Tail index",
        note="",
        curves=(Curve(key="alpha_hat", label="alpha_hat", dots=True),),
        levels=(TWO,),
    ),
    Chart(
        name="grad_norm",
        title="Gradient norm",
        note="log scale",
        curves=(Curve(key="grad_norm", label="grad_norm"),),
        log=True,
        hue=2,
    ),
    Chart(
        name="update_ratio",
        title="Update ratio",
        note="log scale",
        about=UPDATE_RATIO,
        curves=(Curve(key="update_ratio", label="update_ratio"),),
        log=True,
        hue=1,
    ),
)
"""The charts of one layer."""


def charts_of(run: Run) -> list[Chart]:
    """The charts that `run` has values for: the probe's, then one for each user metric.

    Only the first `METRICS` metrics by name get a chart: hundreds of live charts would freeze the
    page.
    """
    measured = [
        replace(
            chart,
            curves=curves,
            levels=chart.levels + _bounds(run, chart.name),
            note=_note(run, chart),
        )
        for chart in PROBE
        if (
            curves := tuple(
                _known(curve, run) for curve in chart.curves if curve.key in run.summary
            )
        )
    ]
    logged = [
        Chart(
            name=f"metric-{place}",
            title=name,
            note="metric",
            curves=(Curve(key=name, label="value"),),
            hue=1,
        )
        for place, name in enumerate(run.metrics[:METRICS])
        if name not in SCALARS
    ]
    return [*measured, *logged]


def _note(run: Run, chart: Chart) -> str:
    """The note of a chart, with what its tail index is of."""
    of = {"tail": described, "update": control_scope}.get(chart.name)
    words = of(run) if of else ""
    return f"{chart.note}; {words}" if words else chart.note


def _known(curve: Curve, run: Run) -> Curve:
    return curve if curve.stderr in run.summary else replace(curve, stderr="")


def _bounds(run: Run, name: str) -> tuple[tuple[float, str], ...]:
    """The bounds of a setting of the optimizer, from the run's environment."""
    bounds: Any = run.environment
    for part in ("optimizer", "settings", f"{name}_bounds"):
        bounds = bounds.get(part) if isinstance(bounds, dict) else None
    if not isinstance(bounds, list):
        return ()
    ends = zip(bounds, ("at least", "at most"), strict=False)
    return tuple(
        (float(at), f"{word} {significant(at).replace('-', MINUS)}")
        for at, word in ends
        if isinstance(at, int | float)
    )
