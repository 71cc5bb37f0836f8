"""What holds for every estimator alike."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from htga.tail import (
    LogHistogram,
    TailEstimate,
    TailStatus,
    hill,
    measure,
    moment,
    pickands,
    qq,
    rank_regression,
    stable_ecf,
    stable_mmo,
    stable_quantile,
)
from tests.htga.distributions import gaussian, laplace, student_t, uniform

Estimator = Callable[[Any], TailEstimate]


def of_histogram(x: Tensor | Sequence[Tensor]) -> TailEstimate:
    return LogHistogram().update(x).hill(60)


def on_tail(estimator: Callable[..., TailEstimate]) -> Estimator:
    def estimate(x: Any) -> TailEstimate:
        return estimator(x, 60)

    estimate.__name__ = estimator.__name__
    return estimate


OF_TAIL = [on_tail(f) for f in (hill, moment, pickands, rank_regression, qq)]
OF_WHOLE = [stable_ecf, stable_mmo, stable_quantile]
ALL = [*OF_TAIL, *OF_WHOLE, of_histogram]
SAMPLE = student_t(1.5, 1000)


def names(estimators: list[Any]) -> list[str]:
    return [estimator.__name__ for estimator in estimators]


@pytest.mark.parametrize("estimator", OF_TAIL, ids=names(OF_TAIL))
@given(exponent=st.integers(-60, 60))
def test_a_power_of_two_changes_no_bit(estimator: Estimator, exponent: int) -> None:
    assert torch.equal(estimator(SAMPLE * 2.0**exponent).xi, estimator(SAMPLE).xi)


@pytest.mark.parametrize("estimator", [*OF_TAIL, *OF_WHOLE], ids=names([*OF_TAIL, *OF_WHOLE]))
@given(scale=st.floats(1e-9, 1e9))
def test_no_scale_changes_an_estimate(estimator: Estimator, scale: float) -> None:
    expected = float(estimator(SAMPLE).xi)
    assert float(estimator(SAMPLE * scale).xi) == pytest.approx(expected, rel=1e-10)


@given(exponent=st.integers(-60, 60))
def test_a_power_of_two_moves_a_histogram_and_leaves_its_index(exponent: int) -> None:
    x = SAMPLE.float()
    moved, still = LogHistogram().update(x * 2.0**exponent), LogHistogram().update(x)
    assert torch.equal(moved.counts, still.counts.roll(8 * exponent))
    assert float(moved.hill(60).alpha) == pytest.approx(float(still.hill(60).alpha), rel=1e-12)


@pytest.mark.parametrize("estimator", ALL, ids=names(ALL))
@given(seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_neither_order_nor_signs_matter_but_to_sums(estimator: Estimator, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(SAMPLE.numel(), generator=generator)
    signs = torch.randint(0, 2, SAMPLE.shape, generator=generator) * 2.0 - 1
    changed = estimator((SAMPLE * signs).take(order))
    same = float(changed.xi) == pytest.approx(float(estimator(SAMPLE).xi), rel=1e-12)
    assert same is (estimator is not stable_mmo)


@pytest.mark.parametrize("estimator", ALL, ids=names(ALL))
@given(cuts=st.lists(st.integers(0, 1000), max_size=5))
@settings(max_examples=20)
def test_a_sample_may_come_in_pieces(estimator: Estimator, cuts: list[int]) -> None:
    pieces = SAMPLE.tensor_split(sorted(cuts))
    assert torch.equal(estimator(list(pieces)).xi, estimator(SAMPLE).xi)


@pytest.mark.parametrize(
    "sample",
    [
        torch.empty(0),
        [],
        torch.zeros(1000),
        torch.ones(1),
        torch.full((1000,), -2.5),
        torch.tensor([torch.nan]),
        torch.full((1000,), torch.inf),
        torch.tensor([0.0, torch.nan, 1.0, -torch.inf]).repeat(500),
        torch.full((1000,), 1e-45),
        torch.tensor(3.0),
        [torch.empty(0), torch.zeros(3, 0), torch.ones(2)],
        torch.sparse_coo_tensor(
            torch.zeros(1, 4, dtype=torch.long), torch.ones(4), (9,), check_invariants=True
        ),
        torch.full((700,), 6e4).half() * 2,
    ],
    ids=repr,
)
@pytest.mark.parametrize("estimator", ALL, ids=names(ALL))
def test_a_useless_sample_gives_no_number_no_warning_and_no_error(
    estimator: Estimator, sample: Any
) -> None:
    estimate = estimator(sample)
    assert estimate.status != TailStatus.OK
    assert estimate.alpha.isnan()
    assert estimate.stderr.isnan()


@pytest.mark.parametrize("estimator", ALL, ids=names(ALL))
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.arange(9), ValueError, r"torch.int64; convert it with x.float\(\)"),
        (torch.ones(9, dtype=torch.complex64), ValueError, r"complex64; take x.abs\(\) first"),
        (torch.ones(9, dtype=torch.bool), ValueError, "torch.bool"),
        ([torch.ones(2), torch.ones(2).int()], ValueError, "torch.int32"),
        (torch.ones(9).numpy(), TypeError, "got ndarray; convert it with torch.as_tensor"),
        ([1.0, 2.0], TypeError, "got float"),
        (None, TypeError, "got NoneType"),
    ],
)
def test_what_is_no_sample_is_refused_by_its_type(
    estimator: Estimator, x: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        estimator(x)


@pytest.mark.parametrize(
    "k", [0, -3, 9, 2**70, True, 0.0, 1.0, -0.1, 1.5, float("nan"), "all", None]
)
@pytest.mark.parametrize("estimator", [hill, moment, pickands, rank_regression, qq, measure])
def test_a_senseless_k_is_refused_by_name_and_value(estimator: Any, k: Any) -> None:
    with pytest.raises(ValueError, match=rf"k must be .* got {k!r}"):
        estimator(torch.ones(100), k=k)
    with pytest.raises(ValueError, match=rf"k must be .* got {k!r}"):
        LogHistogram().update(torch.ones(100)).hill(k)


@pytest.mark.parametrize("estimator", [hill, moment, pickands, rank_regression, qq])
@pytest.mark.parametrize("k", [1000, 1001, 10**12])
def test_a_k_as_large_as_the_sample_is_too_few(
    estimator: Callable[..., TailEstimate], k: int
) -> None:
    estimate = estimator(SAMPLE, k)
    assert estimate.status == TailStatus.TOO_FEW
    assert estimate.alpha.isnan()
    assert estimator(SAMPLE, 999).status != TailStatus.TOO_FEW


@pytest.mark.parametrize("estimator", OF_TAIL, ids=names(OF_TAIL))
@pytest.mark.parametrize(
    ("x", "light"),
    [
        (gaussian(1000), True),
        (laplace(1000), True),
        (uniform(1000), True),
        (student_t(1.5, 1000), False),
    ],
)
def test_every_estimate_says_whether_the_tail_is_light(
    estimator: Estimator, x: Tensor, light: bool
) -> None:
    assert bool(estimator(x).light) is light
