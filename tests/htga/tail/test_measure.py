from math import prod

import pytest
import torch
from torch import Tensor

from htga.tail import LogHistogram, TailStatus, draw, hill, measure, moment
from htga.tail.measure import measure_each
from tests.htga.distributions import stable, student_t, uniform


def test_measure_gives_what_its_parts_give() -> None:
    x = stable(1.5, 6000).float()
    parts = [x[:1000].view(10, 100), x[1000:], torch.zeros(50)]
    seen, by_hill, by_moment = measure(parts, k=300, bits=4), hill(x, 300), moment(x, 300)
    assert torch.equal(seen.alpha_hat, by_hill.alpha)
    assert torch.equal(seen.alpha_stderr, by_hill.stderr)
    assert torch.equal(seen.xi, by_moment.xi)
    assert (int(seen.k), int(seen.n), int(seen.n_zero), int(seen.n_nonfinite)) == (300, 6000, 50, 0)
    assert float(seen.grad_norm) == pytest.approx(float(x.double().norm()), rel=1e-7)
    assert seen.histogram == LogHistogram(4).update(parts)
    assert seen.status == TailStatus.OK


def test_alpha_hat_can_come_from_the_moment_estimator() -> None:
    x = stable(1.5, 6000)
    assert torch.equal(measure(x, estimator="moment").alpha_hat, moment(x).alpha)
    assert measure(uniform(6000), estimator="moment").status == TailStatus.LIGHT


def test_the_norm_does_not_overflow_where_its_square_would() -> None:
    assert float(measure(torch.full((4,), 1e30)).grad_norm) == pytest.approx(2e30)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_the_norm_tells_of_a_non_finite_entry(bad: float) -> None:
    seen = measure(torch.tensor([1.0, bad]))
    assert not seen.grad_norm.isfinite()
    assert seen.status == TailStatus.NONFINITE
    assert int(seen.histogram.n_nonfinite) == int(seen.n_nonfinite) == 1


def test_nothing_to_measure_is_no_error() -> None:
    seen = measure([])
    assert seen.status == TailStatus.TOO_FEW
    assert float(seen.grad_norm) == 0
    assert int(seen.histogram.n) == 0


SHAPES = [(300, 200), (64, 3, 7, 7), (1000,), (200,)]
SAMPLE = 5000


def gradients(seed: int = 1) -> list[Tensor]:
    sizes = [prod(shape) for shape in SHAPES]
    x = student_t(1.5, sum(sizes), seed).float()
    return [part.view(shape) for part, shape in zip(x.split(sizes), SHAPES, strict=True)]


def test_a_sample_stands_for_all_and_says_how_large_it_is() -> None:
    whole = gradients()
    seen, everything = measure(whole, sample=SAMPLE), measure(whole)
    assert SAMPLE <= int(seen.n) <= 1.4 * SAMPLE
    assert int(seen.k) == max(round(int(seen.n) / 100), 50)
    assert torch.equal(seen.histogram.n, seen.n)
    assert float(seen.alpha_hat) == pytest.approx(
        float(everything.alpha_hat), abs=4 * float(seen.alpha_stderr)
    )


def test_a_sample_leaves_the_norm_and_the_non_finite_exact() -> None:
    whole = gradients()
    norms = [measure(whole, sample=sample).grad_norm for sample in (SAMPLE, None)]
    torch.testing.assert_close(*norms, rtol=1e-8, atol=0)  # to which a norm is exact
    for spoilt in ([torch.nan], [torch.inf, torch.nan, -torch.inf]):
        whole[2][5 : 5 + len(spoilt)] = torch.tensor(spoilt)
        for seed in range(3):
            seen = measure(whole, sample=SAMPLE, seed=seed)
            assert int(seen.n_nonfinite) == len(spoilt)
            assert seen.status == TailStatus.NONFINITE
            assert not seen.grad_norm.isfinite()


def test_zeros_are_those_of_the_sample() -> None:
    half = [torch.where(torch.rand(x.shape) < 0.5, 0.0, x) for x in gradients()]
    seen = measure(half, sample=SAMPLE)
    assert torch.equal(seen.n_zero, seen.histogram.n_zero)
    assert float(seen.n_zero / (seen.n + seen.n_zero)) == pytest.approx(0.5, abs=0.05)


def test_the_same_seed_gives_the_same_sample_and_another_seed_another() -> None:
    whole = gradients()
    first, again, other = (measure(whole, sample=SAMPLE, seed=seed) for seed in (3, 3, 4))
    assert first.histogram == again.histogram != other.histogram


def test_consecutive_steps_look_at_every_entry_in_turn() -> None:
    whole = [torch.randn(60, 1000, generator=torch.Generator().manual_seed(0))]
    seen = LogHistogram()
    for step in range(11):  # The largest stride below 60,000 / 5000 that neither side shares.
        seen.merge(measure(whole, sample=SAMPLE, seed=step).histogram)
    assert seen == LogHistogram().update(whole)


def test_a_gradient_no_larger_than_the_sample_is_seen_whole() -> None:
    whole = gradients()
    seen = measure(whole, sample=10**6, seed=7)
    assert seen.histogram == LogHistogram().update(whole)
    assert torch.equal(seen.alpha_hat, measure(whole).alpha_hat)
    assert measure([], sample=5).status == TailStatus.TOO_FEW


def test_a_sparse_gradient_is_sampled_by_what_it_stores() -> None:
    x = student_t(1.5, 30_000).float()
    indices = torch.arange(30_000)[None] * 1000
    sparse = torch.sparse_coo_tensor(indices, x, (10**9,), check_invariants=True)
    seen = measure([sparse], sample=3000)
    assert 3000 <= int(seen.n) < 6000


@pytest.mark.parametrize("sample", [0, -5])
def test_a_senseless_sample_is_refused_by_name_and_value(sample: int) -> None:
    with pytest.raises(ValueError, match=f"sample must be .* got {sample}"):
        measure(torch.ones(9), sample=sample)


def test_a_draw_may_be_measured_after_the_gradient_has_changed() -> None:
    x = [student_t(3, 5000), student_t(3, 4000)]
    expected = measure(x, sample=1000, seed=5, k=50)
    drawn = [draw(x, 1000, 5), draw(x[:1], 10**6, 0)]
    whole = measure(x[0], k=50)
    for part in x:
        part.zero_()
    seen = drawn[0].measure(k=50)
    assert torch.equal(seen.alpha_hat, expected.alpha_hat)
    assert torch.equal(seen.grad_norm, expected.grad_norm)
    assert seen.histogram == expected.histogram
    assert torch.equal(drawn[1].measure(k=50).alpha_hat, whole.alpha_hat)


@pytest.mark.parametrize("alone", [[0, 1, 2, 3, 4], [2], [1, 3], []])
def test_one_look_gives_the_same_as_a_look_at_all_and_one_at_each(alone: list[int]) -> None:
    generator = torch.Generator().manual_seed(3)
    sizes = [7000, 120_000, 30, 1, 600]
    tensors = [torch.randn(size, generator=generator) ** 5 for size in sizes]
    tensors[0][:400] = 0
    tensors[4] *= 1e6  # nearly all of the largest lie in a small one
    whole, own = measure_each(tensors, alone)
    expected = [measure(tensors), *(measure(tensors[place]) for place in alone)]
    for found, other in zip([whole, *own], expected, strict=True):
        assert found.histogram == other.histogram
        # Rows of squares in float32 make a norm accurate to 1e-8.
        for name, within in (("alpha_hat", 1e-9), ("xi", 1e-9), ("grad_norm", 3e-8)):
            one, two = getattr(found, name), getattr(other, name)
            assert torch.allclose(one, two, rtol=within, equal_nan=True), name
        for name in ("k", "n", "n_zero", "n_nonfinite", "status"):
            assert torch.equal(getattr(found, name), getattr(other, name)), name
