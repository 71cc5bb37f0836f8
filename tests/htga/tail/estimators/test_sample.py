import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from htga.tail import LogHistogram
from htga.tail.estimators.sample import summarize
from htga.tail.flat_tensors import CHUNK
from tests.htga.distributions import pareto, student_t

any_float = st.one_of(
    hnp.arrays(np.float32, st.integers(0, 200), elements=st.floats(width=32)),
    hnp.arrays(np.float64, st.integers(0, 200), elements=st.floats()),
)


def magnitudes(x: Tensor) -> Tensor:
    """The finite non-zero magnitudes in descending order: the slow and obvious way."""
    flat = x.reshape(-1).double().abs()
    return flat[flat.isfinite() & (flat > 0)].sort(descending=True).values


@given(any_float, st.integers(10, 60))
def test_the_largest_are_those_that_sorting_gives(x: np.ndarray, k: int) -> None:
    sample = torch.from_numpy(x)
    top = summarize(sample, k).top
    expected = magnitudes(sample)
    assert int(top.n) == expected.numel()
    found = top.largest[top.largest > 0]
    assert found.tolist() == expected[: k + 1].tolist()
    assert int(top.n_zero) == int((sample == 0).sum())
    assert int(top.n_nonfinite) == int((~sample.isfinite()).sum())


@pytest.mark.parametrize("k", [10, 5000, 100_000])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_a_sample_of_several_chunks_in_many_tensors_is_one_sample(
    dtype: torch.dtype, k: int
) -> None:
    x = student_t(1.5, 2 * CHUNK + 12_345).clamp(-6e4, 6e4).to(dtype)
    parts = [x[:7].view(7, 1), x[7 : CHUNK + 99], x[CHUNK + 99 : CHUNK + 200], x[CHUNK + 200 :]]
    seen = summarize([*parts, torch.empty(0, dtype=dtype)], k)
    assert seen.top.largest.tolist() == magnitudes(x)[: k + 1].tolist()
    assert seen.histogram == LogHistogram().update(x)
    assert float(seen.norm) == pytest.approx(float(x.double().norm()), rel=1e-7)


def test_types_may_be_mixed() -> None:
    x = student_t(1.5, 3000)
    parts = [x[:1000], x[1000:2000].float(), x[2000:].bfloat16()]
    whole = torch.cat([part.double() for part in parts])
    assert summarize(parts, 100).top.largest.tolist() == magnitudes(whole)[:101].tolist()


def test_a_tensor_is_seen_whole_whatever_its_memory_looks_like() -> None:
    x = student_t(1.5, 2 * 3 * 5 * 7).float()
    block = x.view(2, 3, 5, 7)
    expected = summarize(x, 20).top.largest
    padded = torch.zeros(2, 3, 5, 14)
    padded[..., ::2] = block
    channels_last = block.to(memory_format=torch.channels_last)
    for same in (channels_last, block.transpose(0, 3), padded[..., ::2]):
        assert not same.is_contiguous()
        assert torch.equal(summarize(same, 20).top.largest, expected)
    assert int(summarize(torch.ones(1).expand(40), 20).top.n) == 40


def test_non_finite_entries_hide_none_of_their_neighbours() -> None:
    x = pareto(1.5, CHUNK).float()
    x[::32] = torch.nan
    x[7::320] = torch.inf
    top = summarize(x, 1000).top
    assert top.largest.tolist() == magnitudes(x)[:1001].tolist()
    assert int(top.n_nonfinite) == int((~x.isfinite()).sum())


def test_a_float64_that_rounds_up_over_an_edge_is_not_lost() -> None:
    just_below = torch.full((50,), 2.0 - 2.0**-40, dtype=torch.float64)
    x = torch.cat([just_below, torch.rand(1000, dtype=torch.float64)])
    assert summarize(x, 30).top.largest.tolist() == just_below[:31].tolist()
