from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch import Tensor

from htga.optim.settings import Normalize
from htga.optim.weights.rank_weights import RankWeights, cap
from htga.optim.weights.reweight import multiply, reweight, reweight_plain
from htga.tail import hill
from htga.tail.flat_tensors import CHUNK
from htga.tail.histogram.sketch import Sketch
from tests.htga.distributions import gaussian, pareto, stable, student_t
from tests.support.triton_script import lines_of, needs_triton

HERE = Path(__file__).parent
LAWS: dict[str, Callable[[int], Tensor]] = {
    "pareto": partial(pareto, 1.5),
    "t": partial(student_t, 1.5),
    "stable": partial(stable, 1.5),
    "gaussian": gaussian,
}


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def weights_of(
    parts: list[Tensor], beta: float, *, w_max: float = inf, share: float = 1.0, top: int = 1025
) -> RankWeights:
    d = sum(part.numel() for part in parts)
    sketch = Sketch.of(parts, top)
    return RankWeights.of(sketch, d=d, beta=number(beta), w_max=w_max, share=share)


def sorted_weights(x: Tensor, beta: float) -> Tensor:
    ranks = stats.rankdata(-x.abs().numpy())
    return torch.from_numpy((ranks / x.numel()) ** -beta)


@pytest.mark.parametrize("n", [10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("beta", "tolerance"), [(0.5, 0.02), (-0.1, 0.004)])
def test_weights_by_table_are_near_those_by_sorting(
    law: str, n: int, beta: float, tolerance: float
) -> None:
    x = LAWS[law](n).float()
    y = x.clone()
    reweight([y], weights_of([x], beta))
    found = (y.double() / x.double()).where(x != 0, sorted_weights(x, beta))
    assert float((found / sorted_weights(x, beta) - 1).abs().max()) <= tolerance


def test_the_largest_entries_have_the_weights_of_their_exact_ranks() -> None:
    x = student_t(1.5, 50_000).float()
    y = x.clone()
    reweight([y], weights_of([x], 0.5))
    top = x.abs().topk(1024).indices
    error = y[top].double() / x[top].double() / sorted_weights(x, 0.5)[top] - 1
    assert float(error.abs().max()) < 1e-6


def test_the_order_of_magnitudes_is_kept_and_equal_ones_stay_equal() -> None:
    x = torch.cat([gaussian(30_000), torch.tensor([1.5, 2.5] * 500)]).float()
    y = x.clone()
    reweight([y], weights_of([x], 0.7))
    order = x.abs().argsort()
    assert bool((y[order].abs().diff() >= 0).all())
    assert y[30_000::2].unique().numel() == 1


def test_entries_that_are_all_alike_share_the_mean_rank() -> None:
    x = torch.full((5000,), 3.3)
    y = x.clone()
    reweight([y], weights_of([x], 0.5))
    assert torch.allclose(y, x * ((5001 / 2) / 5000) ** -0.5, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_cpu_and_plain_operations_write_the_same(dtype: torch.dtype) -> None:
    x = student_t(1.5, CHUNK + 5000).clamp(-300, 300).to(dtype)
    parts = [x[:3], x[3:700], x[700 : CHUNK + 900], x[CHUNK + 900 :], x[:0]]
    weights = weights_of(parts, 0.4)
    scales = 1.0 + torch.arange(5)
    for their in (None, scales):
        one, other = ([part.clone() for part in parts] for _ in range(2))
        found = reweight(one, weights, their), reweight_plain(other, weights, their)
        assert torch.allclose(found[0], found[1], rtol=1e-6)
        tolerance = max(1e-6, 2 * torch.finfo(dtype).eps)
        for a, b in zip(one, other, strict=True):
            assert torch.allclose(a, b, rtol=tolerance, atol=0)
    written = torch.cat(one).double()
    assert float(found[0][0]) == pytest.approx(float(written.square().sum()), rel=1e-5)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("beta", [0.3, -0.1])
def test_the_length_and_the_mean_weight_are_predicted_to_a_part_in_a_thousand(
    law: str, beta: float
) -> None:
    x = LAWS[law](100_000).float()
    weights = weights_of([x], beta)
    squares, total = reweight([x.clone()], weights)
    assert float(weights.squares / squares) == pytest.approx(1, abs=1e-3)
    assert float(weights.total / total) == pytest.approx(1, abs=1e-3)


def test_no_exponent_changes_no_bit() -> None:
    x = student_t(1.5, 50_000).float()
    normalizations: tuple[Normalize, ...] = ("none", "mean_one", "l2")
    for normalize in normalizations:
        sketch = Sketch.of([x], 1025)
        weights = weights_of([x], 0.0, share=0.5).normalized(sketch, normalize)
        y = x.clone()
        reweight([y], weights)
        assert torch.equal(y, x)


def test_a_weight_can_be_limited() -> None:
    x = student_t(1.5, 20_000).float()
    y = x.clone()
    reweight([y], weights_of([x], 0.5, w_max=3.0))
    assert float((y / x).max()) == pytest.approx(3.0)
    assert int((y / x > 2.999).sum()) == pytest.approx(20_000 / 9, rel=0.03)


@pytest.mark.parametrize("share", [0.125, 0.2, 0.5, 0.7])
def test_no_coordinate_gets_a_larger_share_than_allowed(share: float) -> None:
    x = pareto(3, 20_000).float()
    y = x.clone()
    reweight([y], weights_of([x], 1.0, share=share))
    shares = y.double().square() / y.double().square().sum()
    before = x.double().square().max() / x.double().square().sum()
    assert before < share
    uncapped = x.clone()
    reweight([uncapped], weights_of([x], 1.0))
    assert float(uncapped.square().max() / uncapped.square().sum()) > share
    assert float(shares.max()) == pytest.approx(share, rel=1e-3)


def test_a_share_that_a_coordinate_has_already_is_left_to_it() -> None:
    x = torch.tensor([1.0, 2.0, 100.0], dtype=torch.float64)
    ones = torch.ones_like(x)
    before = x.square().sum()
    assert cap(x, ones, number(0.0), before, 0.125) == inf
    weights = torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64)
    limit = cap(x, weights, number(0.0), before, 0.125)
    assert float(limit**2 / (5 + limit**2)) == pytest.approx(float(100**2 / before), rel=1e-6)


def test_zeros_stay_zeros_and_an_empty_sample_stays_empty() -> None:
    for x in (torch.zeros(5000), torch.empty(0)):
        y = x.clone()
        reweight([y], weights_of([x], 0.5, share=0.5))
        assert torch.equal(x, y)


def test_the_tail_index_after_is_that_of_the_largest_weighted() -> None:
    x = student_t(1.5, 50_000).float()
    weights = weights_of([x], 0.2)
    y = x.clone()
    reweight([y], weights)
    assert torch.allclose(weights.amplified[:1000].float(), y.abs().topk(1000).values, rtol=1e-6)
    assert float(hill(y, 500).alpha) < float(hill(x, 500).alpha)


def test_multiplying_can_fill_with_zeros_instead() -> None:
    x = torch.tensor([1.0, torch.nan, torch.inf])
    multiply([x], number(2.0), unless=torch.tensor(False))
    assert x.tolist()[0] == 2.0
    multiply([x], number(2.0), unless=torch.tensor(True))
    assert torch.equal(x, torch.zeros(3))


@pytest.mark.slow
@needs_triton
def test_the_triton_kernel_writes_the_same_under_its_interpreter(tmp_path: Path) -> None:
    printed = lines_of(HERE / "reweight_with_triton.py", tmp_path, TRITON_INTERPRET="1")
    assert printed == ["all weights agree"]


@pytest.mark.slow
@needs_triton
def test_the_triton_kernels_compile_for_devices_that_are_not_here(tmp_path: Path) -> None:
    once = ["reciprocal", "control", "weights", "sizes", "reweighted"]
    found = lines_of(HERE / "compile_with_triton.py", tmp_path)
    assert found == [
        *(f"{kernel}_kernel on {capability}" for kernel in once for capability in (80, 90)),
        *(
            f"{kernel}_kernel of {dtype} on {capability}"
            for dtype in ("float32", "float16", "bfloat16")
            for kernel in ("reweight", "multiply")
            for capability in ((80, 90) if dtype == "float32" else (90,))
        ),
    ]


@pytest.mark.slow
@needs_triton
def test_the_triton_kernels_take_the_steps_that_small_operations_take(tmp_path: Path) -> None:
    printed = lines_of(HERE / "amplify_with_triton.py", tmp_path, TRITON_INTERPRET="1")
    assert printed == ["all steps agree"]
