import pytest
import torch
from torch import Tensor

from htga.tail import FadingHistogram, LogHistogram, TailStatus
from tests.htga.distributions import pareto, student_t


def step(x: Tensor) -> LogHistogram:
    return LogHistogram().update(x)


def test_what_is_old_fades_by_the_same_factor_each_step() -> None:
    fading = FadingHistogram(memory=0.5, align=False)
    steps = [step(student_t(1.5, 2000, seed)) for seed in range(4)]
    for histogram in steps:
        fading.update(histogram)
    weights = (0.125, 0.25, 0.5, 1.0)
    counts = torch.stack([histogram.counts for histogram in steps])
    assert torch.equal(fading.counts, (torch.tensor(weights)[:, None] * counts.double()).sum(0))


def test_zeros_and_non_finite_entries_fade_too() -> None:
    fading = FadingHistogram(memory=0.5)
    fading.update(step(torch.tensor([0.0, 0.0, torch.nan, 1.0]))).update(step(torch.ones(1)))
    assert (float(fading.n_zero), float(fading.n_nonfinite)) == (1.0, 0.5)
    assert fading.hill(10).status == TailStatus.NONFINITE


@pytest.mark.parametrize("octaves", [-40, -3, 1, 17])
def test_a_change_of_scale_by_octaves_is_followed_exactly(octaves: int) -> None:
    x = student_t(1.5, 5000)
    moved = FadingHistogram(memory=0.5).update(step(x)).update(step(x * 2.0**octaves))
    still = FadingHistogram(memory=0.5).update(step(x)).update(step(x))
    assert torch.equal(moved.counts.roll(-octaves * 8), still.counts)
    assert float(moved.hill(200).alpha) == pytest.approx(float(still.hill(200).alpha), rel=1e-12)


def test_a_drifting_scale_fakes_a_heavy_tail_unless_it_is_followed() -> None:
    aligned, blind = FadingHistogram(memory=0.9), FadingHistogram(memory=0.9, align=False)
    for seed in range(30):
        histogram = step(pareto(3.0, 5000, seed) * 1.3**-seed)
        aligned.update(histogram)
        blind.update(histogram)
    assert float(aligned.hill(2000).alpha) == pytest.approx(3.0, rel=0.06)
    assert float(blind.hill(2000).alpha) < 2.7


def test_the_tail_of_many_steps_is_less_noisy_than_that_of_one() -> None:
    fading = FadingHistogram(memory=0.9)
    single, faded = [], []
    for seed in range(60):
        histogram = step(pareto(1.5, 2000, seed))
        single.append(histogram.hill(0.05).alpha)
        faded.append(fading.update(histogram).hill(0.05).alpha)
    assert torch.stack(faded[20:]).std() < 0.5 * torch.stack(single[20:]).std()


def test_an_empty_step_shifts_nothing() -> None:
    fading = FadingHistogram(memory=0.5).update(LogHistogram()).update(step(torch.ones(4)))
    fading.update(LogHistogram())
    assert float(fading.counts.sum()) == 2.0
    assert float(fading.counts[127 * 8]) == 2.0


def test_what_would_leave_the_bins_stays_in_the_last() -> None:
    fading = FadingHistogram(memory=0.5)
    fading.update(step(torch.tensor([1e-30, 1e-30, 1e30]))).update(step(torch.full((9,), 1e30)))
    assert float(fading.counts.sum()) == 10.5
    assert float(fading.counts[-1]) == 0.5


def test_senseless_arguments_are_refused_by_name_and_value() -> None:
    with pytest.raises(ValueError, match=r"memory must be in \[0, 1\), got 1.0"):
        FadingHistogram(memory=1.0)
    with pytest.raises(ValueError, match="bits must be equal to add, got 3 and 4"):
        FadingHistogram().update(LogHistogram(4))
