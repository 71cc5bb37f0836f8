from __future__ import annotations

import pytest

from htga.telemetry.measure_schedule import MeasureSchedule


def measured(
    schedule: MeasureSchedule, steps: int, *, step: float, cost: float, first: int = 0
) -> list[int]:
    """Which of so many steps are measured, if a step takes so long and measuring it costs that."""
    found = []
    for number in range(first, first + steps):
        if schedule.is_due(number):
            found.append(number)
            schedule.measured(number, cost)
        schedule.passed(step)
    return found


def test_every_so_many_steps_are_measured() -> None:
    assert measured(MeasureSchedule(every=3), 10, step=1.0, cost=9.0) == [0, 3, 6, 9]
    assert measured(MeasureSchedule(every=3, first=7), 7, step=1.0, cost=9.0, first=7) == [
        7,
        10,
        13,
    ]


@pytest.mark.parametrize(("budget", "most"), [(0.01, 11), (0.1, 101), (1.0, 1000)])
def test_a_budget_is_kept_by_measuring_less_often(budget: float, most: int) -> None:
    found = measured(MeasureSchedule(budget=budget), 1000, step=0.010, cost=0.010)
    assert most - 1 <= len(found) <= most + 1


def test_what_fits_the_budget_is_measured_as_often_as_asked() -> None:
    assert len(measured(MeasureSchedule(every=2, budget=0.1), 100, step=0.010, cost=0.0005)) == 50
