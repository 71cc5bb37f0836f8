import copy
import pickle
from math import inf, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from htga.optim import NSGD, Bi2Clip, BiClip, ClippedSGD, Lion
from htga.optim.baselines.clipping import huber_sum
from tests.htga.distributions import student_t
from tests.htga.optim import third_party
from tests.htga.training import backward, net, same, train, weights


def tensor(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def moved(make: Any, *gradients: Tensor) -> Tensor:
    """Where a parameter that begins at zero is after these gradients."""
    parameter = torch.zeros_like(gradients[0])
    optimizer = make([parameter])
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter


def test_nsgd_steps_by_lr_along_the_average_gradient() -> None:
    place = moved(lambda p: NSGD(p, 0.5, momentum=0.9), tensor(3, 4), tensor(0, -10))
    second = 0.9 * tensor(3, 4) + 0.1 * tensor(0, -10)
    expected = -0.5 * tensor(0.6, 0.8) - 0.5 * second / second.norm()
    assert torch.allclose(place, expected, rtol=1e-12)


def test_nsgd_without_knowing_p_shortens_its_steps_and_its_memory() -> None:
    gradients = [tensor(3, 4), tensor(0, -10), tensor(1, 1)]
    place = moved(lambda p: NSGD(p, 0.5, parameter_free=True), *gradients)
    average, expected = gradients[0], tensor(0, 0)
    for t, gradient in enumerate(gradients, start=1):
        b = 1 - t**-0.5
        average = gradient if t == 1 else b * average + (1 - b) * gradient
        expected = expected - 0.5 * t**-0.75 * average / average.norm()
    assert torch.allclose(place, expected, rtol=1e-12)


def test_the_norm_of_nsgd_is_that_of_all_groups() -> None:
    one, other = torch.zeros(1), torch.zeros(1)
    optimizer = NSGD([{"params": [one]}, {"params": [other], "lr": 1.0}], lr=0.1, momentum=0.0)
    one.grad, other.grad = torch.tensor([3.0]), torch.tensor([4.0])
    optimizer.step()
    assert one.item() == pytest.approx(-0.06)
    assert other.item() == pytest.approx(-0.8)


def test_nsgd_stands_still_where_there_is_no_slope_and_decays_decoupled() -> None:
    assert torch.equal(moved(NSGD, tensor(0, 0)), tensor(0, 0))
    parameter = torch.ones(2)
    parameter.grad = torch.zeros(2)
    NSGD([parameter], 0.1, weight_decay=0.5).step()
    assert torch.allclose(parameter, torch.full((2,), 0.95))
    up = moved(lambda p: NSGD(p, 0.5, maximize=True), tensor(3, 4))
    assert torch.allclose(up, tensor(0.3, 0.4))


def test_nsgd_refuses_sparse_gradients_with_a_remedy() -> None:
    layer = nn.Embedding(4, 2, sparse=True)
    layer(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="sparse=False"):
        NSGD(layer.parameters()).step()


def test_biclip_by_coordinate_lifts_the_small_and_cuts_the_large() -> None:
    place = moved(
        lambda p: BiClip(p, 1.0, lower=0.1, upper=1, mode="coordinate"), tensor(3, -0.5, 0.02, 0)
    )
    assert torch.allclose(place, -tensor(1, -0.5, 0.1, 0))


@pytest.mark.parametrize(("norm", "expected"), [(10.0, 2.0), (1.5, 1.5), (0.01, 1.0), (0.0, 0.0)])
def test_biclip_by_norm_brings_the_norm_between_the_bounds(norm: float, expected: float) -> None:
    place = moved(lambda p: BiClip(p, 1.0, upper=2.0), norm * tensor(0.6, 0.8))
    assert torch.allclose(place, -expected * tensor(0.6, 0.8))


def test_the_norm_of_biclip_is_that_of_a_group() -> None:
    one, other = torch.zeros(2), torch.zeros(2)
    optimizer = BiClip([{"params": [one]}, {"params": [other]}], lr=1.0)
    one.grad, other.grad = torch.tensor([0.3, 0.4]), torch.tensor([0.03, 0.04])
    optimizer.step()
    assert torch.allclose(one, -torch.tensor([0.6, 0.8]))
    assert torch.allclose(other, -torch.tensor([0.6, 0.8]))


def test_learning_rate_and_bounds_of_biclip_follow_the_round() -> None:
    parameter = torch.zeros(1)
    optimizer = BiClip(
        [parameter], 1.0, lower=0.1, upper=2.0, lr_power=-1, lower_power=1, upper_power=-0.5
    )
    optimizer.next_round()
    optimizer.next_round()
    optimizer.next_round()
    steps = []
    for gradient in (100.0, 0.001):
        parameter.zero_()
        parameter.grad = torch.tensor([gradient])
        optimizer.step()
        steps.append(parameter.item())
    assert steps == pytest.approx([-0.25 * 2.0 * 4**-0.5, -0.25 * 0.1 * 4])


def test_biclip_decays_decoupled_after_the_step() -> None:
    parameter = torch.ones(1)
    parameter.grad = torch.ones(1)
    BiClip([parameter], 0.1, weight_decay=0.5).step()
    assert parameter.item() == pytest.approx(0.9 * 0.95)


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (-1.0, 1.0)])
def test_bounds_out_of_order_are_refused(bounds: tuple[float, float]) -> None:
    lower, upper = bounds
    with pytest.raises(ValueError, match=f"lower must be .* upper={upper}, got {lower}"):
        BiClip([torch.zeros(1)], lower=lower, upper=upper)
    with pytest.raises(ValueError, match="lower must be"):
        Bi2Clip(SGD([torch.zeros(1)], lr=1.0), every=1, lower=lower, upper=upper)
    with pytest.raises(ValueError, match=r"mode must be one of .*, got 'l1'"):
        BiClip([torch.zeros(1)], mode="l1")  # type: ignore[arg-type]


def test_bi2clip_clips_how_far_a_round_of_inner_steps_has_come() -> None:
    place = moved(
        lambda p: Bi2Clip(SGD(p, lr=1.0), every=2, lr=0.5, upper=2.0),
        tensor(3, 4),
        tensor(3, 4),
        tensor(0.3, 0.4),
        tensor(0.3, 0.4),
    )
    # Two rounds of -(6, 8), whose norm is cut to 2, and of -(0.6, 0.8), whose norm may stay.
    assert torch.allclose(place, -0.5 * 2 * tensor(0.6, 0.8) - 0.5 * tensor(0.6, 0.8))


def test_bi2clip_around_biclip_counts_its_rounds_and_averages_the_nodes() -> None:
    seen: list[float] = []

    def average(delta: list[Tensor]) -> None:
        seen.append(delta[0].item())
        delta[0].fill_(-0.25)

    parameter = torch.zeros(1)
    inner = BiClip([parameter], 1.0)
    outer = Bi2Clip(inner, every=1, mode="coordinate", lower=0.5, average=average)
    parameter.grad = torch.tensor([0.1])
    outer.step()
    assert seen == [-1.0]
    assert parameter.item() == -0.5
    assert inner.param_groups[0]["round"] == 2


G = tensor(3, -4, 0.5)
NORM = sqrt(9 + 16 + 0.25)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("l2", G / (NORM + 1e-6)),
        ("huber_norm", G / (NORM + 1e-6)),
        ("huber_coord", tensor(1, -1, 0.5)),
        ("pseudo_huber", G / sqrt(1 + NORM**2)),
    ],
)
def test_each_kind_of_clipping_is_its_formula(kind: Any, expected: Tensor) -> None:
    place = moved(lambda p: ClippedSGD(p, 1.0, kind=kind, momentum=0.0), G)
    assert torch.allclose(place, -expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["l2", "huber_coord", "huber_sum"])
def test_a_small_gradient_is_left_alone(kind: Any) -> None:
    place = moved(lambda p: ClippedSGD(p, 1.0, kind=kind, clip=100, budget=100, momentum=0.0), G)
    assert torch.equal(place, -G)


@pytest.mark.parametrize("budget", [0.01, 1.0, 20.0])
def test_huber_sum_scales_until_the_losses_are_within_budget(budget: float) -> None:
    gradient = student_t(1.5, 2000)
    place = moved(
        lambda p: ClippedSGD(p, 1.0, kind="huber_sum", budget=budget, momentum=0.0), gradient
    )
    one = torch.ones((), dtype=torch.float64)
    assert float(huber_sum([gradient], one, 1.0)) > budget
    assert float(huber_sum([place], one, 1.0)) == pytest.approx(budget, rel=1e-9)
    assert torch.allclose(place / gradient, place[0] / gradient[0])


def test_the_huber_loss_is_quadratic_and_then_linear() -> None:
    one = torch.ones((), dtype=torch.float64)
    assert float(huber_sum([tensor(0.5, -3)], one, 2.0)) == 0.125 + 2 * (3 - 1)


def test_clipped_sgd_is_sgd_of_what_clip_grad_norm_leaves() -> None:
    one, other = net(), net()
    clipped = ClippedSGD(one.parameters(), 0.1, clip=0.5, weight_decay=1e-3, nesterov=True)
    plain = SGD(other.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True)
    for step in range(5):
        train(one, clipped, range(step, step + 1))
        plain.zero_grad()
        backward(other, step)
        nn.utils.clip_grad_norm_(other.parameters(), 0.5)
        plain.step()
    for a, b in zip(weights(one), weights(other), strict=True):
        assert torch.allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
    ("argument", "value"), [("clip", 0.0), ("budget", -1.0), ("kind", "huber")]
)
def test_bad_arguments_are_refused_by_name_and_value(argument: str, value: Any) -> None:
    arguments: Any = {argument: value}
    with pytest.raises(ValueError, match=f"{argument} must be .*, got {value!r}"):
        ClippedSGD([torch.zeros(1)], **arguments)
    for name, bad in (("lr", -1.0), ("momentum", 1.0), ("weight_decay", -1.0)):
        with pytest.raises(ValueError, match=f"{name} must be .*, got {bad}"):
            NSGD([torch.zeros(1)], **{name: bad})  # type: ignore[arg-type]


BASELINES: dict[str, Any] = {
    "nsgd": lambda p: NSGD(p, 0.01, parameter_free=True),
    "biclip": lambda p: BiClip(p, 0.01, mode="coordinate", lower=1e-3, upper=1e-2),
    "bi2clip": lambda p: Bi2Clip(BiClip(p, 0.01, lr_power=-0.5), every=3, upper=inf),
    "clipped": lambda p: ClippedSGD(p, 0.01, kind="pseudo_huber"),
}


@pytest.mark.parametrize("make", BASELINES.values(), ids=BASELINES)
def test_every_baseline_resumes_copies_and_pickles_to_the_last_bit(make: Any) -> None:
    model = net()
    optimizer: Optimizer = make(model.parameters())
    scheduler = CosineAnnealingLR(optimizer, 20)
    train(model, optimizer, range(4))
    scheduler.step()

    twins: list[tuple[nn.Module, Any]] = [
        copy.deepcopy((model, optimizer)),
        pickle.loads(pickle.dumps((model, optimizer))),  # noqa: S301 (our own)
    ]
    revived = net(1)
    resumed = make(revived.parameters())
    revived.load_state_dict(model.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    twins.append((revived, resumed))

    train(model, optimizer, range(4, 9))
    for twin_model, twin in twins:
        train(twin_model, twin, range(4, 9))
        assert same(weights(model), weights(twin_model))


@pytest.mark.parametrize("make", BASELINES.values(), ids=BASELINES)
def test_every_baseline_learns_returns_its_loss_and_passes_by_missing_gradients(make: Any) -> None:
    model = net()
    frozen = nn.Parameter(torch.ones(3))
    optimizer = make([*model.parameters(), frozen])
    optimizer.step()  # before any gradient

    def closure() -> float:
        optimizer.zero_grad()
        return backward(model, 0)

    losses = [optimizer.step(closure) for _ in range(30)]
    assert losses[-1] < losses[0]
    assert torch.equal(frozen, torch.ones(3))


def test_lion_is_that_of_another_hand_and_of_its_paper() -> None:
    gradients = [student_t(1.5, 200, seed=seed) for seed in range(4)]
    given: dict[str, Any] = {"lr": 0.3, "betas": (0.8, 0.95), "weight_decay": 0.1}
    ours, theirs = (moved(lambda p, kind=kind: kind(p, **given), *gradients) for kind in LIONS)
    assert torch.allclose(ours, theirs, rtol=1e-12)
    average, expected = torch.zeros(200).double(), torch.zeros(200).double()
    for gradient in gradients:
        sign = (0.8 * average + 0.2 * gradient).sign()
        expected = expected - 0.3 * (sign + 0.1 * expected)
        average = 0.95 * average + 0.05 * gradient
    assert torch.allclose(ours, expected, rtol=1e-12)


LIONS = (Lion, third_party.Lion)


def test_lion_without_memory_is_sign_sgd_and_with_one_memory_signum() -> None:
    first, second = tensor(3, -4, 0), tensor(-1, -1, 5)
    place = moved(lambda p: Lion(p, 0.5, betas=(0, 0)), first, second)
    assert torch.equal(place, tensor(0, 1, -0.5))
    place = moved(lambda p: Lion(p, 0.5, betas=(0.9, 0.9)), first, second)
    assert torch.equal(place, -0.5 * (first.sign() + (0.9 * 0.1 * first + 0.1 * second).sign()))
    up = moved(lambda p: Lion(p, 0.5, betas=(0, 0), maximize=True), first)
    assert torch.equal(up, 0.5 * first.sign())


@pytest.mark.parametrize(
    ("name", "value"), [("lr", -1.0), ("betas", (0.9, 1.0)), ("weight_decay", -0.1)]
)
def test_a_setting_of_lion_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be .*, got"):
        Lion([torch.zeros(1)], **{name: value})


def test_lion_refuses_sparse_gradients() -> None:
    parameter = torch.zeros(3)
    parameter.grad = torch.ones(3).to_sparse()
    with pytest.raises(RuntimeError, match="Lion needs dense gradients"):
        Lion([parameter]).step()
