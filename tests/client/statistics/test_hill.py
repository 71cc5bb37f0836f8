from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from htga.tail import LogHistogram
from htga.tail.tail_size import k_for
from htga_client.statistics.hill import MIN_TAIL, default_k, hill_plot, survival
from tests.htga.distributions import gaussian, pareto, stable, student_t

SAMPLES = [pareto(1.5, 50_000), student_t(2.0, 50_000), stable(1.2, 50_000), gaussian(50_000)]


def of(counted: LogHistogram) -> tuple[np.ndarray, np.ndarray]:
    """Edges and counts, trimmed as they travel."""
    filled = counted.counts.nonzero().squeeze(1)
    first, last = int(filled[0]), int(filled[-1])
    return counted.edges[first : last + 2].numpy(), counted.counts[first : last + 1].numpy()


@pytest.mark.parametrize("bits", [1, 3])
@pytest.mark.parametrize("x", SAMPLES, ids=["pareto", "t", "stable", "gaussian"])
def test_the_index_at_an_edge_is_that_of_the_torch_side(x: Tensor, bits: int) -> None:
    counted = LogHistogram(bits).update(x)
    plot = hill_plot(*of(counted))
    for k in (12, 50, 500, 5000, 40_000):
        expected = counted.hill(k)
        place = plot.nearest(k)
        assert place is not None
        assert plot.k[place] == int(expected.k)
        assert plot.threshold[place] == float(expected.threshold)
        assert plot.alpha[place] == pytest.approx(float(expected.alpha), rel=1e-9)
        # The two take the information a step of Newton's method apart.
        assert plot.stderr[place] == pytest.approx(float(expected.stderr), rel=1e-6)


def test_every_tail_of_ten_entries_or_more_is_there_and_no_smaller_one() -> None:
    plot = hill_plot(*of(LogHistogram().update(pareto(1.5, 10_000))))
    assert plot.k.max() == 10_000
    assert MIN_TAIL <= plot.k.min() < 2 * MIN_TAIL
    assert (np.diff(plot.k) < 0).all()
    assert np.isfinite(plot.alpha).all()


def test_survival_begins_with_all_and_falls_to_the_largest() -> None:
    x = torch.cat([student_t(1.5, 5000), torch.zeros(10)])
    edges, share = survival(*of(LogHistogram().update(x)))
    magnitudes = x.float().abs()
    assert share[0] == 1.0
    assert (np.diff(share) <= 0).all()
    for at, found in zip(edges[::40], share[::40], strict=True):
        assert found == pytest.approx(float((magnitudes >= at).sum()) / 5000)


@pytest.mark.parametrize("counts", [[], [0, 0], [5], [1000], [0, 1000, 0]])
def test_where_there_is_no_tail_there_is_no_index(counts: list[int]) -> None:
    edges = np.exp2(np.arange(len(counts) + 1, dtype=np.float64))
    plot = hill_plot(edges, np.array(counts, np.int64))
    assert len(plot.k) == len(plot.alpha) == 0
    assert plot.nearest(10) is None
    x, share = survival(edges, np.array(counts, np.int64))
    assert len(x) == len(share)


def test_a_first_edge_of_zero_is_no_threshold() -> None:
    edges, counts = np.array([0.0, 1.0, 2.0, 4.0]), np.array([100, 60, 40])
    assert hill_plot(edges, counts).threshold.tolist() == [1.0]
    assert survival(edges, counts)[1].tolist() == [0.5, 0.2]


@pytest.mark.parametrize("n", [0, 499, 500, 700, 10_000, 10**7])
def test_the_size_of_a_tail_is_derived_as_on_the_torch_side(n: int) -> None:
    assert default_k(n) == int(k_for(torch.tensor(n), "auto"))
