from math import inf, nan
from typing import Any

import pytest

from htga.optim import PRESETS
from htga.optim.settings import resolve

BAD: list[tuple[str, Any]] = [
    ("target_alpha", 0.0),
    ("target_alpha", -1.5),
    ("target_alpha", nan),
    ("gain", -0.1),
    ("gain", inf),
    ("smoothing", 1.0),
    ("smoothing", -0.1),
    ("smoothing_of", "beta"),
    ("gamma_bounds", (2.0, 0.5)),
    ("gamma_bounds", (0.0, 2.0)),
    ("fixed_gamma", 0.0),
    ("beta", nan),
    ("beta_bounds", (0.3, -0.5)),
    ("beta_bounds", (-inf, 0.3)),
    ("actuator", "lr"),
    ("direction", "up"),
    ("law", "pid"),
    ("estimator", "guess"),
    ("k", -5),
    ("k", 1.5),
    ("scope", "layer"),
    ("normalize", "l1"),
    ("ranks", "quick"),
    ("ties", "min"),
    ("apply", "momentum"),
    ("w_max", 0.5),
    ("max_coord_share", 0.1),
    ("max_coord_share", 1.5),
    ("nonfinite", "ignore"),
]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_setting_is_refused_by_name_and_value(name: str, value: Any, preset: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .+, got ") as caught:
        resolve(preset, {name: value})
    assert str(caught.value).endswith(repr(value))


def test_an_unknown_word_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'none', 'mean_one', 'l2'"):
        resolve("seed", {"normalize": "l1"})


def test_an_unknown_preset_is_refused() -> None:
    known = r"\('guard', 'temper', 'amplify', 'seed'\)"
    with pytest.raises(ValueError, match=f"preset must be one of {known}, got 'best'; .* pass"):
        resolve("best", {})


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_not_given_is_the_presets(preset: str) -> None:
    assert resolve(preset, {"gain": None}) == PRESETS[preset]
    assert resolve(preset, {"gain": 0.0}).gain == 0.0
