from __future__ import annotations

import math

import pytest

from htga_dashboard.models.number_format import significant, step


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.48249, "1.482"),
        (0.5, "0.5"),
        (0.0, "0"),
        (-0.81234, "-0.8123"),
        (0.00123456, "0.001235"),
        (0.000123456, "1.235e-4"),
        (84310.4, "84,310"),
        (999999.4, "999,999"),
        (1234567.0, "1.235e6"),
        (-1e-9, "-1.000e-9"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (None, "–"),
    ],
)
def test_a_number_is_shown_to_four_significant_digits(value: float | None, text: str) -> None:
    assert significant(value) == text


def test_a_step_has_its_thousands_set_apart() -> None:
    assert step(2700) == "2,700"
    assert step(None) == "–"


def test_a_spread_takes_fewer_digits() -> None:
    assert significant(0.41428, 2) == "0.41"
    assert significant(4.1428e-5, 2) == "4.1e-5"
