from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD

from htga.optim import HTGA
from htga.optim.weights.samples import split
from htga.tail import LogHistogram, TailStatus, hill
from tests.htga.distributions import gaussian, layers, student_t
from tests.htga.training import remembered, update_alpha

WIDE = {"preset": "amplify", "beta_bounds": (-1.0, 1.0), "max_coord_share": 1.0}


def stepped(gradients: list[Tensor], groups: Any = None, **arguments: Any) -> HTGA:
    parameters = [torch.zeros_like(gradient) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    if groups is not None:
        groups = [{"params": [parameters[i] for i in group]} for group in groups]
    optimizer = HTGA(SGD(groups or parameters, lr=1.0), **arguments)
    optimizer.step()
    return optimizer


def test_with_scope_tensor_each_large_tensor_is_held_on_target_by_itself() -> None:
    gradients = [student_t(1.8, 6000).float(), gaussian(4000).float() * 1e-3, torch.ones(70)]
    optimizer = stepped(gradients, scope="tensor", **WIDE)
    large, light, small = optimizer.tails.values()
    for tail, gradient in zip((large, light), gradients, strict=False):
        assert float(tail.control_alpha) == pytest.approx(float(hill(gradient).alpha), rel=1e-12)
        assert float(update_alpha(tail)) == pytest.approx(1.5, rel=1e-5)
        assert float(tail.norm_ratio) == pytest.approx(1, rel=2e-3)
    assert float(light.beta) > float(large.beta)
    assert small.status == TailStatus.TOO_FEW
    assert float(small.beta) == 0


def test_with_scope_group_each_parameter_group_is_a_sample() -> None:
    gradients = [student_t(1.8, 3000), student_t(1.8, 3000, seed=1), gaussian(3000)]
    optimizer = stepped(gradients, groups=[[0, 1], [2]], scope="group", **WIDE)
    first, second = optimizer.tails.values()
    for tail, sample in ((first, gradients[:2]), (second, gradients[2])):
        assert float(tail.control_alpha) == pytest.approx(float(hill(sample).alpha), rel=1e-12)
        assert float(update_alpha(tail)) == pytest.approx(1.5, rel=1e-5)


def test_layers_of_different_scale_fake_a_tail_that_rms_normalisation_sees_through() -> None:
    gradients = list(layers(60, 2000).float().split(2000))
    by_scope: dict[str, Any] = {
        scope: stepped(gradients, scope=scope, k=0.1).tail for scope in ("global", "rms_normalised")
    }
    assert float(by_scope["global"].control_alpha) < 2
    assert float(by_scope["rms_normalised"].control_alpha) > 4


def test_with_rms_normalisation_the_length_of_the_gradient_as_it_is_is_kept() -> None:
    # Of a seed each: scaled alike they would tie, and the target is exact only without ties.
    gradients = [
        student_t(1.8, 5000, seed=seed).float() * scale for seed, scale in enumerate((1e-4, 1, 1e3))
    ]
    optimizer = stepped(gradients, scope="rms_normalised", **WIDE)
    assert optimizer.tail is not None
    moved = torch.cat([p for group in optimizer.param_groups for p in group["params"]])
    length = torch.cat(gradients).double().norm()
    assert float(moved.double().norm() / length) == pytest.approx(1, rel=1.1e-3)
    assert float(optimizer.tail.grad_norm) == pytest.approx(float(length))
    assert float(update_alpha(optimizer.tail)) == pytest.approx(1.5, rel=1e-5)


def test_a_summary_adds_counts_and_averages_exponents() -> None:
    gradients = [student_t(1.8, 6000).float(), gaussian(4000).float()]
    optimizer = stepped(gradients, scope="tensor", **WIDE)
    tail, (one, other) = optimizer.tail, optimizer.tails.values()
    assert tail is not None
    assert tail.histogram == LogHistogram().update(gradients)
    assert int(tail.n) == 10_000
    assert float(tail.beta) == pytest.approx(0.6 * float(one.beta) + 0.4 * float(other.beta))
    harmonic = 1 / (0.6 / one.control_alpha + 0.4 / other.control_alpha)
    assert float(tail.control_alpha) == pytest.approx(float(harmonic))
    assert float(tail.grad_norm) == pytest.approx(float(torch.cat(gradients).norm()), rel=1e-6)
    assert float(tail.norm_ratio) == pytest.approx(1, rel=2e-3)


def test_a_bad_number_in_one_sample_stops_them_all() -> None:
    gradients = [student_t(1.8, 600), student_t(1.8, 600)]
    gradients[0][5] = torch.nan
    optimizer = stepped(gradients, scope="tensor")
    assert optimizer.tail is not None
    assert optimizer.tail.status == TailStatus.NONFINITE
    assert (int(optimizer.tail.skipped), int(optimizer.tail.n_nonfinite)) == (1, 1)
    assert not any(p.any() for group in optimizer.param_groups for p in group["params"])


def test_a_group_added_later_begins_its_own_memory_and_leaves_the_others() -> None:
    optimizer = stepped([student_t(1.8, 600)], scope="group", actuator="both", law="integral")
    before = remembered(optimizer)
    extra = torch.zeros(600, dtype=torch.float64)
    optimizer.add_param_group({"params": [extra]})
    extra.grad = student_t(1.2, 600)
    optimizer.param_groups[0]["params"][0].grad = None
    optimizer.step()
    after = remembered(optimizer)
    for name in ("alpha_bar", "gamma", "beta"):
        assert len(after[name]) == 2
        assert after[name][:1] == before[name]
    assert list(optimizer.tails) == [1]


@pytest.mark.parametrize("scope", ["global", "group", "tensor", "rms_normalised"])
def test_a_group_without_parameters_is_no_harm(scope: Any) -> None:
    optimizer = stepped([student_t(1.8, 600)], groups=[[], [0]], scope=scope)
    assert optimizer.tail is not None
    assert int(optimizer.tail.n) == 600


def test_frozen_tensors_keep_their_memory() -> None:
    gradients = [student_t(1.8, 600), student_t(1.3, 600)]
    optimizer = stepped(gradients, scope="tensor", actuator="both")
    before = remembered(optimizer)["alpha_bar"]
    optimizer.param_groups[0]["params"][0].grad = None
    optimizer.step()
    after = remembered(optimizer)["alpha_bar"]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_small_tensors_of_a_group_share_a_sample() -> None:
    groups = [{"params": [torch.zeros(600), torch.zeros(3), torch.zeros(500), torch.zeros(4)]}]
    sizes = [[p.numel() for p in sample] for sample in split(groups, "tensor")]
    assert sizes == [[600], [500], [3, 4]]
    assert len(split(groups * 2, "group")) == 2
    assert len(split(groups * 2, "rms_normalised")) == len(split(groups * 2, "global")) == 1


@pytest.mark.parametrize("scope", ["group", "tensor"])
@pytest.mark.parametrize("ranks", ["exact", "fast"])
def test_every_scope_resumes_from_its_state(scope: Any, ranks: Any) -> None:
    gradients = [student_t(1.8, 600), student_t(1.3, 700)]
    one = stepped(gradients, scope=scope, ranks=ranks, actuator="both", law="integral")
    parameters = [p.clone() for group in one.param_groups for p in group["params"]]
    other = HTGA(SGD(parameters, lr=1.0), **{**vars_of(one), "scope": scope})
    other.load_state_dict(one.state_dict())
    for p, q in zip(one.param_groups[0]["params"], parameters, strict=True):
        p.grad = student_t(1.4, p.numel(), seed=9)
        q.grad = p.grad.clone()
    one.step()
    other.step()
    for p, q in zip(one.param_groups[0]["params"], parameters, strict=True):
        assert torch.equal(p, q)


def vars_of(optimizer: HTGA) -> dict[str, Any]:
    settings = optimizer.settings
    return {name: getattr(settings, name) for name in ("ranks", "actuator", "law", "apply")}
