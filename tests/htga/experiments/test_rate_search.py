import math
from collections.abc import Sequence

import pytest

from htga.experiments.rate_search import MAX_EXTENSIONS, Choice, rate, search


def searched(best: float, first: range) -> tuple[Choice, list[float]]:
    """A search where the loss grows with the distance from `best`, and what was asked for."""
    asked: list[float] = []

    def losses(rates: Sequence[float]) -> list[float]:
        asked.extend(rates)
        return [abs(math.log(lr / best)) for lr in rates]

    return search(losses, first), asked


def test_rates_are_one_and_three_of_every_decade() -> None:
    assert [rate(step) for step in range(-3, 4)] == [0.03, 0.1, 0.3, 1, 3, 10, 30]


@pytest.mark.parametrize("best", [0.001, 0.1, 0.3, 10.0])
def test_the_grid_grows_until_a_smaller_and_a_larger_rate_were_tried(best: float) -> None:
    choice, asked = searched(best, range(-3, 0))
    assert choice.rate == pytest.approx(best)
    assert choice.interior
    assert len(asked) == len(set(asked)) == len(choice.losses)
    assert min(choice.losses) < choice.rate < max(choice.losses)


@pytest.mark.parametrize("best", [1e-9, 1e9])
def test_a_rate_at_the_edge_of_what_may_be_tried_says_so(best: float) -> None:
    choice, _ = searched(best, range(-3, 0))
    assert not choice.interior
    assert len(choice.losses) == 3 + MAX_EXTENSIONS
