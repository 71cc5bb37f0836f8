import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from powerlaw import Fit
from torch import Tensor

from htga.tail import TailStatus, hill
from tests.htga.distributions import pareto, pareto_grid, stable, student_t

GOLDEN = [
    (pareto(1.5, 10_000), 100, 1.7096071455),
    (pareto(1.5, 10_000), 500, 1.6068161500),
    (pareto(1.5, 10_000), 1000, 1.5131189979),
    (student_t(1.5, 10_000), 500, 1.5152495448),
    (student_t(1.5, 10_000), 1000, 1.4506234606),
    (stable(1.5, 10_000), 500, 1.6490823527),
    (stable(1.5, 10_000), 1000, 1.7356675637),
]


def status(x: Tensor | list[Tensor], k: int = 20) -> int:
    return int(hill(x, k).status)


@pytest.mark.parametrize(("x", "k", "alpha"), GOLDEN)
def test_hill_gives_the_golden_values(x: Tensor, k: int, alpha: float) -> None:
    assert float(hill(x, k).alpha) == pytest.approx(alpha, rel=1e-9)


@pytest.mark.parametrize(("k", "alpha"), [(500, 1.4995403611596871), (1000, 1.4997700205887077)])
def test_hill_gives_its_closed_form_on_pareto_quantiles(k: int, alpha: float) -> None:
    logs = math.fsum(math.log(i - 0.5) for i in range(1, k + 1))
    closed = 1.5 / (math.log(k + 0.5) - logs / k)
    assert closed == pytest.approx(alpha, rel=1e-12)
    assert float(hill(pareto_grid(1.5, 10_000), k).alpha) == pytest.approx(closed, rel=1e-12)


def test_hill_agrees_with_the_powerlaw_package() -> None:
    x = pareto(1.5, 10_000).sort(descending=True).values
    fit = Fit(x[:500].numpy(), xmin=float(x[500]), verbose=False)
    assert float(hill(x, 500).alpha) == pytest.approx(fit.power_law.alpha - 1, rel=1e-12)


@given(exponent=st.integers(-60, 60))
def test_hill_is_the_same_to_the_last_bit_when_x_is_scaled_by_a_power_of_two(exponent: int) -> None:
    x = student_t(1.5, 1000)
    assert torch.equal(hill(x * 2.0**exponent, 50).alpha, hill(x, 50).alpha)


@given(scale=st.floats(1e-6, 1e6))
def test_hill_ignores_the_scale_of_its_input(scale: float) -> None:
    x = student_t(1.5, 1000)
    assert float(hill(x * scale, 50).alpha) == pytest.approx(float(hill(x, 50).alpha), rel=1e-12)


def test_hill_ignores_order_signs_shapes_zeros_and_how_the_sample_is_cut() -> None:
    x = stable(1.5, 6000)
    expected = hill(x, 100)
    shuffled = -x[torch.randperm(6000, generator=torch.Generator().manual_seed(0))]
    zeros = torch.zeros(700, dtype=torch.float64)
    for same in (shuffled, x.view(20, 300), [x[:1], x[1:4999].view(-1, 7), x[4999:], zeros]):
        assert float(hill(same, 100).alpha) == pytest.approx(float(expected.alpha), rel=1e-14)
        assert int(hill(same, 100).n) == 6000


def test_the_default_k_is_a_hundredth_of_the_non_zero_entries() -> None:
    x = torch.cat([pareto(1.5, 10_000), torch.zeros(90_000, dtype=torch.float64)])
    estimate = hill(x)
    assert int(estimate.k) == 100
    assert int(hill(x, "power").k) == round(10_000**0.6)
    assert int(estimate.n_zero) == 90_000
    assert torch.equal(estimate.alpha, hill(pareto(1.5, 10_000)).alpha)


def test_the_standard_error_is_that_of_repeated_samples() -> None:
    estimates = [hill(pareto(1.5, 5000, seed), 200) for seed in range(300)]
    spread = torch.stack([estimate.alpha for estimate in estimates]).std()
    claimed = torch.stack([estimate.stderr for estimate in estimates]).mean()
    assert float(spread) == pytest.approx(float(claimed), rel=0.15)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_before_the_logarithm(dtype: torch.dtype) -> None:
    x = student_t(1.5, 20_000)
    estimate = hill(x.to(dtype), 500)
    assert estimate.alpha.dtype == torch.float64
    assert float(estimate.alpha) == pytest.approx(float(hill(x, 500).alpha), rel=5e-3)


def test_every_field_is_a_0d_tensor_and_host_gives_python_numbers() -> None:
    estimate = hill(pareto_grid(1.5, 1000), 100)
    host = estimate.host()
    for name, number in host.items():
        tensor = getattr(estimate, name)
        assert tensor.shape == ()
        assert number == tensor.item()
    assert host["status"] is TailStatus.OK
    assert (type(host["k"]), type(host["alpha"])) == (int, float)


def test_non_finite_entries_are_counted_and_the_rest_is_measured() -> None:
    x = pareto(1.5, 1000)
    spoilt = torch.cat([x, torch.tensor([torch.nan, torch.inf, -torch.inf])])
    estimate = hill(spoilt, 50)
    assert estimate.status == TailStatus.NONFINITE
    assert (int(estimate.n), int(estimate.n_nonfinite), int(estimate.n_zero)) == (1000, 3, 0)
    assert torch.equal(estimate.alpha, hill(x, 50).alpha)


@pytest.mark.parametrize(
    "x",
    [
        [],
        torch.empty(0),
        torch.zeros(1000),
        torch.ones(1),
        torch.ones(20),
        torch.cat([torch.rand(20) + 1, torch.zeros(5000)]),
    ],
)
def test_a_sample_without_k_plus_one_entries_is_too_small(x: Tensor | list[Tensor]) -> None:
    estimate = hill(x, 20)
    assert estimate.status == TailStatus.TOO_FEW
    assert estimate.alpha.isnan()
    assert estimate.stderr.isnan()


def test_no_k_is_derived_from_fewer_than_500_entries() -> None:
    for k in ("auto", 0.5):
        assert hill(pareto(1.5, 499), k).status == TailStatus.TOO_FEW
        assert hill(pareto(1.5, 500), k).status == TailStatus.OK


def test_equal_magnitudes_are_degenerate() -> None:
    assert status(torch.ones(100)) == TailStatus.DEGENERATE
    assert hill(-torch.ones(100), 20).alpha.isnan()


def test_the_most_serious_status_wins() -> None:
    assert status(torch.tensor([torch.nan])) == TailStatus.NONFINITE
    assert hill(torch.tensor([torch.nan]), 20).alpha.isnan()


def test_a_sparse_tensor_counts_its_summed_entries() -> None:
    x = pareto(1.5, 100)
    indices = torch.arange(100).repeat(2)[None]
    halves = torch.sparse_coo_tensor(
        indices, torch.cat([x / 2, x / 2]), (10_000,), check_invariants=True
    )
    assert int(hill(halves, 20).n) == 100
    assert torch.equal(hill(halves, 20).alpha, hill(x, 20).alpha)


@pytest.mark.parametrize("k", [0, -3, 9, 0.0, 1.0, -0.1, 1.5, math.nan, "all"])
def test_a_senseless_k_is_refused_by_name_and_value(k: float) -> None:
    with pytest.raises(ValueError, match=rf"k must be .* got {k!r}"):
        hill(torch.ones(100), k)


def test_integers_are_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match=r"x must be floating point, got torch.int64.*float\(\)"):
        hill(torch.arange(100), 20)
