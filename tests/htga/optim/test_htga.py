import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

import htga
from htga.optim import HTGA
from htga.tail import LogHistogram, TailState, TailStatus, hill
from tests.htga.distributions import student_t
from tests.htga.training import BASES, backward, net, same, train, update_alpha, weights


def with_gradient(gradient: Tensor, **arguments: Any) -> tuple[Tensor, HTGA]:
    parameter = torch.zeros_like(gradient.to_dense() if gradient.is_sparse else gradient)
    parameter.grad = gradient.clone()
    return parameter, HTGA(SGD([parameter], lr=1.0), **arguments)


def tail_of(optimizer: HTGA) -> TailState:
    assert optimizer.tail is not None
    return optimizer.tail


@pytest.mark.filterwarnings("ignore:HTGA has no effect")
@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@pytest.mark.parametrize(
    "arguments",
    [
        {"actuator": "none"},
        {"preset": "seed", "beta": 0.0, "gain": 0.0},
        {"actuator": "beta", "beta_bounds": (0.0, 0.0)},
        {"preset": "seed", "fixed_gamma": 1.0, "beta": 0.0, "normalize": "l2"},
        {"preset": "amplify", "fixed_gamma": 1.0, "actuator": "gamma", "apply": "grad"},
    ],
)
def test_without_gain_and_exponent_it_is_the_base_to_the_last_bit(
    base: Callable[[Any], Optimizer], arguments: dict[str, Any]
) -> None:
    bare, wrapped = net(), net()
    plain, optimizer = base(bare.parameters()), HTGA(base(wrapped.parameters()), **arguments)
    train(bare, plain, range(50))
    train(wrapped, optimizer, range(50))
    assert same(weights(bare), weights(wrapped))
    assert same(plain.state_dict()["state"], optimizer.state_dict()["state"])


@pytest.mark.parametrize("arguments", [{"actuator": "none"}, {"beta_bounds": (0.0, 0.0)}])
def test_where_nothing_changes_the_gradient_is_not_written(arguments: Any) -> None:
    parameter, optimizer = with_gradient(student_t(1.5, 1000), **arguments)
    assert parameter.grad is not None
    version = parameter.grad._version
    optimizer.step()
    assert parameter.grad._version == version
    assert torch.equal(update_alpha(tail_of(optimizer)), tail_of(optimizer).control_alpha)
    assert float(tail_of(optimizer).norm_ratio) == 1


def test_the_seed_preset_steps_as_written_on_a_hand_example() -> None:
    gradient = torch.tensor([0.5, -4.0, 1.0, 2.0], dtype=torch.float64)
    parameter, optimizer = with_gradient(gradient, preset="seed", beta=0.5, fixed_gamma=1.1)
    optimizer.step()
    w = torch.tensor([1.0, 2.0, 2 / 3**0.5, 2**0.5], dtype=torch.float64)
    assert torch.allclose(-parameter, 1.1 * w * gradient, rtol=1e-14)


def test_the_amplify_preset_holds_the_updates_tail_index_on_target_and_keeps_the_length() -> None:
    gradient = student_t(1.8, 20_000).float()
    parameter, optimizer = with_gradient(gradient, preset="amplify", target_alpha=1.5)
    own = parameter.grad
    optimizer.step()
    assert parameter.grad is own  # written in place: the gradient may be a view of a bucket
    tail = tail_of(optimizer)
    assert float(tail.control_alpha) == pytest.approx(1.8, rel=0.1)
    assert float(update_alpha(tail)) == pytest.approx(1.5, rel=1e-5)
    assert float(hill(parameter, int(tail.k)).alpha) == pytest.approx(1.5, rel=1e-5)
    assert float(parameter.norm()) == pytest.approx(float(tail.grad_norm), rel=1e-3)
    ratio = float(parameter.double().norm() / gradient.double().norm())
    assert float(tail.norm_ratio) == pytest.approx(ratio, rel=1e-6)


def test_the_state_describes_the_raw_gradient() -> None:
    gradient = torch.cat([student_t(1.5, 1000), torch.zeros(24, dtype=torch.float64)])
    _, optimizer = with_gradient(gradient, preset="seed")
    optimizer.step()
    tail = tail_of(optimizer)
    assert torch.equal(tail.control_alpha, hill(gradient, 0.01).alpha)
    assert torch.equal(tail.control_alpha_bar, tail.control_alpha)
    assert float(tail.grad_norm) == pytest.approx(float(gradient.norm()))
    assert (int(tail.k), int(tail.n), int(tail.n_zero), int(tail.skipped)) == (50, 1000, 24, 0)
    assert (float(tail.target_alpha), float(tail.beta)) == (1.5, 0.5)
    assert tail.histogram == LogHistogram().update(gradient)
    assert tail.status == TailStatus.OK


def test_a_later_step_leaves_earlier_states_alone() -> None:
    model = net()
    optimizer = HTGA(SGD(model.parameters(), lr=0.1), actuator="both")
    train(model, optimizer, range(1))
    first = tail_of(optimizer)
    kept = {name: getattr(first, name) for name in first.__slots__ if name != "histogram"}
    copies, counts = {name: t.clone() for name, t in kept.items()}, first.histogram.counts.clone()
    train(model, optimizer, range(1, 5))
    assert tail_of(optimizer) is not first
    assert same(kept, copies)
    assert torch.equal(first.histogram.counts, counts)


@pytest.mark.parametrize("preset", ["seed", "amplify"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_non_finite_gradient_never_reaches_the_parameters(bad: float, preset: str) -> None:
    model = net()
    optimizer = HTGA(AdamW(model.parameters()), preset=preset)
    train(model, optimizer, range(3))
    before, alpha_bar = weights(model), tail_of(optimizer).control_alpha_bar
    moments = [entry["exp_avg"].clone() for entry in optimizer.state.values()]
    backward(model, 9)
    grad = next(model.parameters()).grad
    assert grad is not None
    grad[3, 4] = bad
    optimizer.step()
    tail = tail_of(optimizer)
    assert same(before, weights(model))
    assert same(moments, [entry["exp_avg"] for entry in optimizer.state.values()])
    assert (int(tail.n_nonfinite), int(tail.skipped)) == (1, 1)
    assert tail.status == TailStatus.NONFINITE
    assert torch.equal(tail.control_alpha_bar, alpha_bar)

    train(model, optimizer, range(3, 5))
    assert not same(before, weights(model))
    assert (int(tail_of(optimizer).n_nonfinite), int(tail_of(optimizer).skipped)) == (0, 1)


def test_an_amplification_beyond_half_precision_is_skipped_too() -> None:
    gradient = (student_t(1.5, 1000).clamp(-50, 50) * 1000).half()
    parameter, optimizer = with_gradient(gradient, preset="seed", beta=1.0)
    optimizer.step()
    assert torch.equal(parameter, torch.zeros_like(parameter))
    assert (int(tail_of(optimizer).n_nonfinite), int(tail_of(optimizer).skipped)) == (0, 1)


def test_non_finite_gradients_can_raise_and_still_change_nothing() -> None:
    gradient = torch.tensor([1.0, torch.nan, torch.inf])
    parameter, optimizer = with_gradient(gradient, preset="seed", nonfinite="raise")
    with pytest.raises(FloatingPointError, match=r"2 of 3 entries .*nonfinite='skip'"):
        optimizer.step()
    assert torch.equal(parameter, torch.zeros(3))
    assert int(tail_of(optimizer).skipped) == 1


@pytest.mark.parametrize("preset", ["seed", "amplify"])
@pytest.mark.parametrize(
    "gradient", [torch.zeros(600), torch.ones(600), torch.ones(1), torch.empty(0), torch.rand(5)]
)
def test_a_gradient_without_a_tail_is_stepped_with(gradient: Tensor, preset: str) -> None:
    parameter, optimizer = with_gradient(gradient, preset=preset)
    optimizer.step()
    assert parameter.isfinite().all()
    assert torch.equal(parameter.sign(), -gradient.sign())
    assert tail_of(optimizer).status != TailStatus.OK
    assert tail_of(optimizer).control_alpha_bar.isnan()


def test_a_sparse_gradient_is_summed_and_amplified_where_it_has_entries() -> None:
    values = student_t(1.5, 700).float()
    halves = torch.sparse_coo_tensor(
        torch.arange(700).repeat(2)[None],
        torch.cat([values, values]) / 2,
        (900,),
        check_invariants=True,
    )
    sparse, by_sparse = with_gradient(halves)
    dense, by_dense = with_gradient(values)
    by_sparse.step()
    by_dense.step()
    assert torch.equal(sparse[:700], dense)
    assert not sparse[700:].any()
    assert torch.equal(tail_of(by_sparse).control_alpha, tail_of(by_dense).control_alpha)


def test_gradients_of_mixed_precision_and_layout_are_one_sample() -> None:
    x = student_t(1.5, 1200).float().bfloat16()
    single = torch.zeros(1200)
    single.grad = x.float()
    parts = [torch.zeros(200), torch.zeros(10, 100).bfloat16().t()]
    parts[0].grad, parts[1].grad = x[:200].float(), x[200:].view(100, 10)
    one, many = (HTGA(SGD(p, lr=1.0), preset="seed") for p in ([single], parts))
    one.step()
    many.step()
    assert torch.equal(tail_of(one).control_alpha, tail_of(many).control_alpha)
    assert torch.equal(parts[0], single[:200])
    assert torch.equal(parts[1].reshape(-1), single[200:].bfloat16())


def test_parameters_without_a_gradient_are_left_alone() -> None:
    parameter = torch.ones(3)
    optimizer = HTGA(SGD([parameter], lr=1.0))
    optimizer.step()
    assert torch.equal(parameter, torch.ones(3))
    assert optimizer.tail is None


def test_it_is_an_optimizer_found_at_the_top_and_its_repr_tells_its_settings() -> None:
    optimizer = HTGA(SGD(net().parameters(), lr=0.1), target_alpha=1.2)
    assert isinstance(optimizer, Optimizer)
    assert htga.HTGA is HTGA
    assert "SGD" in repr(optimizer)
    assert "target_alpha=1.2" in repr(optimizer)


def test_raw_weights_that_make_a_huge_step_are_warned_of() -> None:
    parameters = [torch.zeros(10_000)]
    with pytest.warns(UserWarning, match="lr=0.1 .* = 10 times .* normalize='l2'"):
        HTGA(SGD(parameters, lr=0.1, momentum=0.9), preset="seed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HTGA(SGD(parameters, lr=0.1), preset="seed")
        HTGA(SGD(parameters, lr=0.1, momentum=0.9))


@pytest.mark.parametrize("base", [None, torch.optim.LBFGS([torch.zeros(1)])])
def test_a_base_that_cannot_be_stepped_is_refused(base: Any) -> None:
    with pytest.raises(TypeError, match=f"base must be .*, got {type(base).__name__}"):
        HTGA(base)


def test_arguments_are_checked_when_the_optimizer_is_made() -> None:
    with pytest.raises(ValueError, match=r"smoothing must be in \[0, 1\), got 1.0"):
        HTGA(SGD([torch.zeros(1)], lr=0.1), smoothing=1.0)
