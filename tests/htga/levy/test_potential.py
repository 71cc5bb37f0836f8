from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from htga.levy import Custom, DoubleWell, Potential, Quadratic, TwoWells

LANDSCAPES: list[Potential] = [Quadratic(0.7), DoubleWell(), TwoWells(0.5, 3.0, 2.0)]
X = torch.linspace(-6, 6, 997, dtype=torch.float64)


@pytest.mark.parametrize("potential", LANDSCAPES)
def test_the_force_is_minus_the_slope_of_the_value(potential: Potential) -> None:
    torch.testing.assert_close(potential.force(X), Custom(potential.value).force(X))


def test_a_function_of_vectors_has_a_force_by_autograd() -> None:
    bowl = Custom(lambda x: (x[..., 0] ** 2 + 3 * x[..., 1] ** 2) / 2)
    x = torch.randn(5, 2, dtype=torch.float64)
    torch.testing.assert_close(bowl.force(x), x * torch.tensor([-1.0, -3.0], dtype=torch.float64))
    with torch.no_grad():
        torch.testing.assert_close(bowl.force(x)[:, 0], -x[:, 0])


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0.1, 10))
def test_two_wells_are_equally_deep_and_as_wide_as_asked(
    left: float, right: float, depth: float
) -> None:
    wells = TwoWells(left, right, depth)
    at = torch.tensor([-left, 0.0, right], dtype=torch.float64)
    torch.testing.assert_close(wells.value(at), torch.tensor([0, depth, 0], dtype=torch.float64))
    torch.testing.assert_close(wells.force(at), torch.zeros(3, dtype=torch.float64))


def test_the_force_of_two_wells_is_continuous_and_grows_no_faster_than_linearly() -> None:
    wells = TwoWells(0.5, 3.0, 2.0)
    slope = wells.force(X).diff() / X.diff()
    assert float(slope.abs().max()) <= 8 * 2.0 / 0.5**2 + 1e-6


@pytest.mark.parametrize("name", ["left", "right", "depth"])
def test_a_well_without_extent_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=0"):
        TwoWells(**{name: 0.0})
