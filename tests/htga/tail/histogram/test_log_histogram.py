from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import brentq
from torch import Tensor

from htga.tail import LogHistogram, TailStatus, hill
from htga.tail.histogram.binned import grouped_pareto
from htga_client.wire.histogram import edges
from tests.htga.distributions import gaussian, laplace, pareto, pareto_grid, stable, student_t

any_float32 = hnp.arrays(np.float32, st.integers(0, 60), elements=st.floats(width=32))


def histogram(x: Tensor, bits: int = 3) -> LogHistogram:
    return LogHistogram(bits).update(x)


@given(any_float32, st.integers(0, 8))
def test_every_entry_falls_between_the_edges_of_the_codec(x: np.ndarray, bits: int) -> None:
    counted = histogram(torch.from_numpy(x), bits)
    magnitudes = np.abs(x[np.isfinite(x) & (x != 0)]).astype(np.float64)
    expected, _ = np.histogram(magnitudes, edges(bits, 0, counted.counts.numel()))
    assert counted.counts.tolist() == expected.tolist()
    assert int(counted.n) == magnitudes.size
    assert int(counted.n_zero) == np.count_nonzero(x == 0)
    assert int(counted.n_nonfinite) == np.count_nonzero(~np.isfinite(x))


@given(any_float32, any_float32, any_float32)
def test_merging_histograms_equals_counting_everything_at_once(
    a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> None:
    x, y, z = map(torch.from_numpy, (a, b, c))
    whole = histogram(torch.cat([x, y, z]))
    assert histogram(x) + histogram(y) + histogram(z) == whole
    assert histogram(z).merge(histogram(x).merge(histogram(y))) == whole
    assert LogHistogram().update([x, y]).update(z) == whole


@given(any_float32, st.integers(0, 8))
def test_bytes_bring_the_histogram_back(x: np.ndarray, bits: int) -> None:
    sent = histogram(torch.from_numpy(x), bits)
    assert LogHistogram.from_bytes(sent.to_bytes()) == sent


def test_a_sum_leaves_its_parts_as_they_were() -> None:
    a, b = histogram(torch.ones(3)), histogram(torch.zeros(4))
    assert (a + b) != a
    assert a == histogram(torch.ones(3))
    assert b == histogram(torch.zeros(4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_counted_as_its_float32_equal(dtype: torch.dtype) -> None:
    x = (student_t(1.5, 1000) * 1e-6).to(dtype)
    assert histogram(x) == histogram(x.float())


def test_a_float64_keeps_its_kind_even_where_float32_could_not_hold_it() -> None:
    x = torch.tensor([1e300, -1e300, 1e-300, 0.0, torch.inf], dtype=torch.float64)
    counted = histogram(x)
    assert (int(counted.n), int(counted.n_zero), int(counted.n_nonfinite)) == (3, 1, 1)
    assert (int(counted.counts[0]), int(counted.counts[-1])) == (1, 2)


def test_subnormals_are_counted_but_never_a_threshold() -> None:
    x = torch.cat([torch.full((900,), 1e-40), pareto(1.5, 100).float()])
    counted = histogram(x)
    assert int(counted.n) == 1000
    estimate = counted.hill(500)
    assert int(estimate.k) == 100
    assert float(estimate.threshold) >= torch.finfo(torch.float32).tiny


def test_a_sparse_tensor_is_summed_before_it_is_counted() -> None:
    x = torch.sparse_coo_tensor(
        torch.tensor([[3, 3, 5]]), torch.ones(3), (9,), check_invariants=True
    )
    assert histogram(x) == histogram(torch.tensor([2.0, 1.0]))


GOLDEN_OCTAVES = [
    (pareto_grid(1.5, 10_000), 500, 1.5028524320601289, 442),
    (pareto_grid(1.5, 10_000), 1000, 1.5008841539211453, 1250),
    (pareto(1.5, 10_000), 100, 1.7297340249, 139),
    (pareto(1.5, 10_000), 500, 1.6898048666, 443),
    (pareto(1.5, 10_000), 1000, 1.5025003405, 1177),
    (student_t(1.5, 10_000), 500, 1.4218818803, 309),
    (student_t(1.5, 10_000), 1000, 1.4850087153, 887),
    (stable(1.5, 10_000), 500, 1.6784070648, 592),
    (stable(1.5, 10_000), 1000, 1.6784070648, 592),
]
GOLDEN_EIGHTHS = [
    (pareto_grid(1.5, 10_000), 500, 1.4996958050687597, 503),
    (pareto_grid(1.5, 10_000), 1000, 1.500570025692079, 964),
]
GOLDEN_SIXTEENTHS = [
    (pareto(1.5, 10_000), 100, 1.6634867179, 102),
    (pareto(1.5, 10_000), 500, 1.5948310579, 487),
    (pareto(1.5, 10_000), 1000, 1.5174991241, 978),
    (student_t(1.5, 10_000), 500, 1.5104534294, 504),
    (student_t(1.5, 10_000), 1000, 1.4478676832, 982),
    (stable(1.5, 10_000), 500, 1.6551469149, 513),
    (stable(1.5, 10_000), 1000, 1.7378535457, 966),
]


@pytest.mark.parametrize(("x", "wanted", "alpha", "k"), GOLDEN_OCTAVES)
def test_octave_bins_give_the_golden_values(x: Tensor, wanted: int, alpha: float, k: int) -> None:
    estimate = histogram(x, 0).hill(wanted)
    assert int(estimate.k) == k
    assert float(estimate.alpha) == pytest.approx(alpha, rel=1e-9)


@pytest.mark.parametrize(
    ("x", "wanted", "alpha", "k", "per_octave"),
    [(*row, 8) for row in GOLDEN_EIGHTHS] + [(*row, 16) for row in GOLDEN_SIXTEENTHS],
)
def test_the_likelihood_of_bins_of_one_ratio_gives_the_golden_values(
    x: Tensor, wanted: int, alpha: float, k: int, per_octave: int
) -> None:
    index = (x.abs().log2() * per_octave).floor()
    edge = min(index.unique(), key=lambda j: abs(int((index >= j).sum()) - wanted))
    above = index[index >= edge] - edge
    assert above.numel() == k
    width = torch.tensor([np.log(2) / per_octave])
    found, _ = grouped_pareto(torch.tensor([float(k)]).double(), width, (above * width).sum())
    assert float(found) == pytest.approx(alpha, rel=1e-9)


MILLION = 1_000_000


@pytest.mark.parametrize("seed", [1, 2, 12345])
@pytest.mark.parametrize("law", [pareto, student_t, stable])
@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.8])
def test_of_a_million_entries_bins_give_what_order_statistics_give(
    law: Callable[[float, int, int], Tensor], alpha: float, seed: int
) -> None:
    x = law(alpha, MILLION, seed)
    counted = histogram(x)
    largest = x.abs().topk(MILLION // 8).values
    for k in (1000, "auto", 0.01, 0.1):
        binned = counted.hill(k)
        size = int(binned.k)
        exact = 1 / (largest[:size] / largest[size]).log().mean()
        difference = abs(float(binned.alpha / exact) - 1)
        assert difference < 0.2 / size**0.5
        assert k != 0.01 or difference < 0.001


@pytest.mark.parametrize("x", [pareto(1.5, 200_000), student_t(1.5, 200_000), stable(1.5, 200_000)])
@pytest.mark.parametrize(("bits", "tolerance"), [(0, 0.03), (1, 0.012), (3, 0.003), (5, 0.001)])
def test_binned_hill_agrees_with_order_statistics_at_the_same_k(
    x: Tensor, bits: int, tolerance: float
) -> None:
    binned = histogram(x, bits).hill(0.01)
    exact = hill(x, int(binned.k))
    assert float(binned.alpha) == pytest.approx(float(exact.alpha), rel=tolerance)
    assert float(binned.stderr) == pytest.approx(
        float(exact.stderr), rel=0.15 if bits == 0 else 0.05
    )
    assert binned.status == TailStatus.OK


def test_binned_hill_agrees_with_order_statistics_on_light_tails() -> None:
    binned = histogram(gaussian(200_000)).hill(0.01)
    exact = hill(gaussian(200_000), int(binned.k))
    # Within a bin 12 % wide the index of a Gaussian changes, which a Pareto tail's does not.
    assert float(binned.alpha) == pytest.approx(float(exact.alpha), rel=0.02)


@pytest.mark.parametrize("x", [student_t(1.5, 20_000), gaussian(20_000)])
@pytest.mark.parametrize("bits", [0, 1, 3])
def test_binned_hill_maximises_the_likelihood_of_the_bins(x: Tensor, bits: int) -> None:
    counted = histogram(x, bits)
    estimate = counted.hill(1000)
    first = int((counted.edges == estimate.threshold).nonzero())
    counts = counted.counts[first:].double()
    log_t = (counted.edges[first:] / estimate.threshold).log()
    lower, upper = log_t[:-1][counts > 0], log_t[1:][counts > 0]

    def slope(alpha: float) -> float:
        """The derivative of sum_j n_j ln(t_j**-alpha - t_(j+1)**-alpha)."""
        above, below = (-alpha * upper).exp(), (-alpha * lower).exp()
        ratio = (upper * above - lower * below) / (below - above)
        return float((counts[counts > 0] * ratio).sum())

    assert float(estimate.alpha) == pytest.approx(brentq(slope, 0.5, 30, xtol=1e-12), rel=1e-10)


def test_octave_bins_have_no_bias_on_pareto_data() -> None:
    x = pareto_grid(1.5, 1_000_000)
    assert float(histogram(x, 0).hill(100_000).alpha) == pytest.approx(1.5, rel=1e-3)


def test_the_tail_begins_at_the_edge_nearest_to_k() -> None:
    counted = histogram(student_t(1.5, 20_000))
    above = counted.counts.flip(0).cumsum(0)
    estimate = counted.hill(777)
    assert int((estimate.k - 777).abs()) == int((above - 777).abs().min())
    assert int((counted.counts * (counted.edges[:-1] >= estimate.threshold)).sum()) == estimate.k


def test_degenerate_histograms_are_called_so() -> None:
    assert LogHistogram().hill(20).status == TailStatus.TOO_FEW
    assert histogram(torch.zeros(1000)).hill(20).status == TailStatus.TOO_FEW
    assert histogram(torch.rand(499) + 1).hill().status == TailStatus.TOO_FEW
    assert histogram(torch.ones(1000)).hill(20).status == TailStatus.DEGENERATE
    spoilt = torch.cat([pareto(1.5, 1000), torch.tensor([torch.inf])])
    assert histogram(spoilt).hill(50).status == TailStatus.NONFINITE


def test_survival_is_the_share_of_entries_at_or_above_an_edge() -> None:
    x = student_t(1.5, 5000).float().abs()
    at, share = histogram(torch.cat([x, torch.zeros(50)])).survival()
    for index in (0, 900, 1000, 1016, 1040, 2039):
        assert float(share[index]) == float((x >= at[index]).double().mean())
    assert LogHistogram().survival()[1].isnan().all()


def test_quantiles_are_within_a_bin_of_the_true_ones() -> None:
    x = student_t(1.5, 50_000).abs()
    q = torch.tensor([0.0, 0.001, 0.25, 0.5, 0.9, 0.999, 1.0], dtype=torch.float64)
    found = histogram(x).quantile(q)
    assert torch.allclose(found[1:-1], x.quantile(q)[1:-1], rtol=0.02)
    assert found[0] <= x.min() < found[0] * 1.125
    assert found[-1] >= x.max() > found[-1] / 1.125
    assert float(histogram(x).quantile(0.5)) == float(found[3])
    assert LogHistogram().quantile(0.5).isnan()


def test_histograms_of_different_bits_do_not_merge() -> None:
    with pytest.raises(ValueError, match="bits must be equal to merge, got 3 and 4"):
        LogHistogram(3).merge(LogHistogram(4))
    assert LogHistogram(3) != LogHistogram(4)


@pytest.mark.parametrize("bits", [-1, 9])
def test_bits_out_of_range_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"bits must be from 0 to 8, got {bits}"):
        LogHistogram(bits)


@given(any_float32, any_float32)
def test_taking_a_part_away_leaves_the_rest(a: np.ndarray, b: np.ndarray) -> None:
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    assert histogram(torch.cat([x, y])) - histogram(y) == histogram(x)


def test_light_tails_are_called_light_beside_their_finite_index() -> None:
    for light in (gaussian(100_000), laplace(100_000)):
        assert bool(histogram(light).hill().light)
    for heavy in (pareto(1.5, 100_000), student_t(3.0, 100_000), stable(1.5, 100_000)):
        assert not bool(histogram(heavy).hill().light)


def test_the_csr_layout_and_hybrid_sparse_tensors_are_counted_by_their_values() -> None:
    dense = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    assert histogram(dense.to_sparse_coo()) == histogram(torch.tensor([2.0, 3.0]))
    rows = torch.sparse_coo_tensor(
        torch.tensor([[5, 5]]), torch.ones(2, 3), (10**9, 3), check_invariants=True
    )
    assert histogram(rows) == histogram(torch.full((3,), 2.0))


def test_repr_says_what_was_counted() -> None:
    counted = histogram(torch.tensor([1.0, 0.0, torch.nan]))
    assert repr(counted) == "LogHistogram(bits=3, n=1, n_zero=1, n_nonfinite=1)"
