import math
from typing import Any

import pytest
import torch
from torch import Tensor

from htga.tail import TailStatus, smooth


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def after(
    bar: float, hat: float, smoothing: float = 0.9, of: Any = "alpha", status: int = 0
) -> float:
    code = torch.tensor(status, dtype=torch.int8)
    return float(smooth(number(bar), number(hat), code, smoothing, of))


def test_the_average_of_alpha_forgets_exponentially() -> None:
    assert after(2.0, 1.0) == pytest.approx(0.9 * 2 + 0.1 * 1)


def test_the_average_of_the_reciprocal_is_harmonic() -> None:
    assert 1 / after(2.0, 1.0, of="inv_alpha") == pytest.approx(0.9 / 2 + 0.1 / 1)


@pytest.mark.parametrize("of", ["alpha", "inv_alpha"])
def test_the_first_usable_estimate_starts_the_average(of: str) -> None:
    assert after(math.nan, 1.7, of=of) == 1.7


@pytest.mark.parametrize("of", ["alpha", "inv_alpha"])
def test_no_smoothing_follows_the_last_estimate(of: str) -> None:
    assert after(2.0, 1.25, smoothing=0.0, of=of) == 1.25


@pytest.mark.parametrize("of", ["alpha", "inv_alpha"])
@pytest.mark.parametrize("status", [status for status in TailStatus if status != TailStatus.OK])
@pytest.mark.parametrize("hat", [math.nan, math.inf, 1.0])
def test_an_unusable_estimate_changes_nothing(of: str, status: TailStatus, hat: float) -> None:
    assert after(2.0, hat, of=of, status=status) == 2.0
    assert math.isnan(after(math.nan, hat, of=of, status=status))


def test_an_extreme_estimate_is_clamped_first() -> None:
    assert after(math.nan, 1e6) == 20.0
    assert after(math.nan, 1e-6) == 0.1
