"""The settings of HTGA, their validation, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any, Literal, get_args, get_origin, get_type_hints

from htga.tail.estimators.smoothing import SmoothingOf
from htga.tail.measure import Estimator
from htga.tail.tail_size import K, check_k

Actuator = Literal["gamma", "beta", "both", "none"]
Direction = Literal["as_written", "regulating"]
Law = Literal["proportional", "integral"]
Scope = Literal["global", "group", "tensor", "rms_normalised"]
Normalize = Literal["none", "mean_one", "l2"]
Ranks = Literal["exact", "fast"]
Apply = Literal["grad", "update", "auto"]
Ties = Literal["ordinal", "average"]
Nonfinite = Literal["skip", "raise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of `HTGA`, which documents them.

    Raises:
        ValueError: A setting is out of its range.
    """

    target_alpha: float
    gain: float
    smoothing: float
    smoothing_of: SmoothingOf
    gamma_bounds: tuple[float, float]
    fixed_gamma: float | None
    beta: float
    beta_bounds: tuple[float, float]
    actuator: Actuator
    direction: Direction
    law: Law
    estimator: Estimator
    k: K
    scope: Scope
    normalize: Normalize
    w_max: float
    max_coord_share: float
    ranks: Ranks
    ties: Ties
    apply: Apply
    nonfinite: Nonfinite

    def __post_init__(self) -> None:
        check_k(self.k)
        for name, hint in get_type_hints(Settings).items():
            if get_origin(hint) is Literal:
                words = get_args(hint)
                self._require(name, getattr(self, name) in words, f"one of {words}")
        self._require("target_alpha", 0 < self.target_alpha < inf, "a finite number above 0")
        self._require("gain", 0 <= self.gain < inf, "a finite number of at least 0")
        self._require("smoothing", 0 <= self.smoothing < 1, "in [0, 1)")
        self._require("beta", -inf < self.beta < inf, "a finite number")
        self._require(
            "fixed_gamma",
            self.fixed_gamma is None or 0 < self.fixed_gamma < inf,
            "a finite number above 0, or None to let the actuator decide",
        )
        self._require("w_max", self.w_max >= 1, "at least 1, or math.inf for no limit")
        self._require("max_coord_share", 0.125 <= self.max_coord_share <= 1, "in [1/8, 1]")
        self._require(
            "ties",
            self.ties == "average" or self.ranks == "exact",
            "'average' with ranks='fast', which ranks by magnitude alone",
        )
        low, high = self.gamma_bounds
        self._require("gamma_bounds", 0 < low <= high < inf, "(low, high) with 0 < low <= high")
        low, high = self.beta_bounds
        self._require("beta_bounds", -inf < low <= high < inf, "(low, high) with low <= high")

    def _require(self, name: str, holds: bool, remedy: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {remedy}, got {getattr(self, name)!r}")

    @property
    def controls_gamma(self) -> bool:
        """Whether gamma follows alpha_bar."""
        return self.actuator in {"gamma", "both"} and self.fixed_gamma is None

    @property
    def controls_beta(self) -> bool:
        """Whether beta follows alpha_hat."""
        return self.actuator in {"beta", "both"}

    @property
    def constant_gamma(self) -> float:
        """Value of gamma while it is not controlled."""
        return 1.0 if self.fixed_gamma is None else self.fixed_gamma

    @property
    def changes_nothing(self) -> bool:
        """Whether every gradient passes unchanged."""
        return (
            not (self.controls_gamma or self.controls_beta)
            and self.constant_gamma == 1
            and self.beta == 0
        )


_SEED = Settings(
    target_alpha=1.5,
    gain=0.05,
    smoothing=0.9,
    smoothing_of="alpha",
    gamma_bounds=(0.5, 2.0),
    fixed_gamma=None,
    beta=0.5,
    beta_bounds=(-0.5, 1.0),
    actuator="gamma",
    direction="as_written",
    law="proportional",
    estimator="hill",
    k=0.01,
    scope="global",
    normalize="none",
    w_max=inf,
    max_coord_share=1.0,
    ranks="exact",
    ties="ordinal",
    apply="grad",
    nonfinite="skip",
)

_AMPLIFY = Settings(
    target_alpha=1.5,
    gain=0.05,
    smoothing=0.95,
    smoothing_of="inv_alpha",
    gamma_bounds=(0.5, 2.0),
    fixed_gamma=None,
    beta=0.0,
    beta_bounds=(-0.5, 0.3),
    actuator="beta",
    direction="regulating",
    law="proportional",
    estimator="hill",
    k="auto",
    scope="rms_normalised",
    normalize="l2",
    w_max=inf,
    max_coord_share=0.5,
    ranks="fast",
    ties="average",
    apply="auto",
    nonfinite="skip",
)

# Weights that only temper raise no coordinate's share, so there is nothing to limit.
_TEMPER = replace(_AMPLIFY, target_alpha=8.0, beta_bounds=(-0.9, 0.0), max_coord_share=1.0)

PRESETS = {
    # Tempers a tail that is heavier than the target, and is the base to the last bit otherwise.
    # Were the length kept, it would pass from the largest entries, which are cut, to all others.
    "guard": replace(_TEMPER, target_alpha=3.0, normalize="mean_one"),
    # Tempers almost every gradient, and keeps its length: to be used after a clip of the norm.
    "temper": _TEMPER,
    # The aim of the proposal: the tail index of the update is brought to the target, and the length
    # of the gradient is kept. Layers of different scale are not mistaken for a tail.
    "amplify": _AMPLIFY,
    # Heavy-Tail Gradient Amplification as it was proposed. The proposal leaves smoothing, gain and
    # bounds open; these are ours.
    "seed": _SEED,
}

DEFAULT = "guard"

ALIASES = {"stable": "amplify"}
"""Names that presets had before, by which they are still found."""


def resolve(preset: str, given: dict[str, Any]) -> Settings:
    """The preset, overridden by the settings in `given` that are not None.

    Raises:
        ValueError: There is no such preset, or a setting is out of its range.
    """
    preset = ALIASES.get(preset, preset)
    if preset not in PRESETS:
        raise ValueError(
            f"preset must be one of {tuple(PRESETS)}, got {preset!r}; for settings of your own, "
            "begin with one of them and pass those that differ"
        )
    return replace(PRESETS[preset], **{k: v for k, v in given.items() if v is not None})
