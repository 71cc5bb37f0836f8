import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from htga.optim import HTGA, PRESETS
from htga.optim.settings import DEFAULT, resolve
from htga.tail import TailState
from tests.htga.distributions import gaussian, pareto, student_t
from tests.htga.training import BASES, same, update_alpha

N = 1500
TEMPERING = [name for name, preset in PRESETS.items() if preset.beta_bounds[1] == 0]
HEAVY = student_t(1.2, N).float()


def parameters() -> list[Tensor]:
    return [torch.linspace(-1, 1, 1200).view(30, 40), torch.ones(300)]


def give(params: list[Tensor], gradient: Tensor) -> None:
    for p, part in zip(params, gradient.split([p.numel() for p in params]), strict=True):
        p.grad = part.reshape(p.shape).clone()


def run(optimizer: Optimizer, params: list[Tensor], gradients: list[Tensor]) -> list[float]:
    """The exponent of every step."""
    betas = []
    for gradient in gradients:
        give(params, gradient)
        optimizer.step()
        if isinstance(optimizer, HTGA):
            assert optimizer.tail is not None
            betas.append(float(optimizer.tail.beta))
    return betas


def stepped(gradient: Tensor, **arguments: Any) -> TailState:
    params = parameters()
    optimizer = HTGA(SGD(params, lr=1.0), **arguments)
    run(optimizer, params, [gradient])
    assert optimizer.tail is not None
    return optimizer.tail


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_the_default_is_the_base_to_the_last_bit_while_no_tail_is_heavier_than_its_target(
    base: Callable[[Any], Optimizer],
) -> None:
    light = [gaussian(N, seed=i).float() for i in range(40)]
    bare, wrapped, tempered, short = parameters(), parameters(), parameters(), parameters()
    plain, optimizer = base(bare), HTGA(base(wrapped))
    run(plain, bare, light)
    assert run(optimizer, wrapped, light) == [0.0] * len(light)
    assert same(bare, wrapped)
    assert same(plain.state_dict()["state"], optimizer.state_dict()["state"])
    # A target that the same tails are heavier than makes another path.
    assert min(run(HTGA(base(tempered), target_alpha=100.0), tempered, light[:5])) < 0
    run(base(short), short, light[:5])
    assert not same(short, tempered)


@pytest.mark.parametrize("preset", TEMPERING)
@given(
    index=st.floats(0.4, 6),
    target=st.floats(0.3, 9),
    scope=st.sampled_from(["global", "rms_normalised", "tensor", "group"]),
    law=st.sampled_from([pareto, student_t]),
)
def test_tempering_acts_on_heavier_tails_alone_and_not_past_the_target(
    preset: str, index: float, target: float, scope: Any, law: Callable[[float, int], Tensor]
) -> None:
    params = [torch.zeros(700), torch.zeros(800)]
    optimizer = HTGA(SGD(params, lr=1.0), preset=preset, target_alpha=target, scope=scope)
    gradient = law(index, N).float()
    run(optimizer, params, [gradient])
    for tail in optimizer.tails.values():
        before, after = float(tail.control_alpha), float(update_alpha(tail))
        if before >= target:
            assert float(tail.beta) == 0
            assert after == before
        else:
            assert float(tail.beta) < 0
            assert before < after <= target * 1.01  # Exchanged neighbours leave up to a percent.
    if all(float(tail.beta) == 0 for tail in optimizer.tails.values()):
        assert torch.equal(-torch.cat(params), gradient)


@given(st.floats(0.3, 1.9))
def test_the_default_lengthens_no_heavy_gradient(index: float) -> None:
    assert float(stepped(student_t(index, N).float()).norm_ratio) < 1


def test_the_default_tempers_to_its_target() -> None:
    tail = stepped(HEAVY)
    assert HTGA(SGD(parameters(), lr=0.1)).settings == resolve(DEFAULT, {"apply": "grad"})
    assert float(update_alpha(tail)) == pytest.approx(PRESETS[DEFAULT].target_alpha, rel=1e-3)


@pytest.mark.parametrize(("alias", "preset"), [("stable", "amplify")])
def test_a_preset_is_found_by_its_former_name_and_loads_what_was_saved_under_it(
    alias: str, preset: str
) -> None:
    params = parameters()
    saved = HTGA(SGD(params, lr=0.1), preset=alias)
    run(saved, params, [HEAVY])
    other = HTGA(SGD(copy.deepcopy(params), lr=0.1), preset=preset)
    other.load_state_dict(saved.state_dict())
    assert other.settings == saved.settings == resolve(preset, {"apply": "grad"})
    assert other.own_state() == saved.own_state()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("other", PRESETS)
def test_a_state_of_other_settings_comes_back_within_the_bounds_of_these(
    preset: str, other: str
) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="normalize='none'")
        params = parameters()
        saved = HTGA(SGD(params, lr=0.1), preset=other, actuator="both", scope="global")
        run(saved, params, [gaussian(N).float()])
        loaded = HTGA(SGD(parameters(), lr=0.1), preset=preset, scope="global")
        loaded.load_state_dict(saved.state_dict())
    # Entries of one size have no tail, so the exponent is the one that was loaded.
    params = loaded.param_groups[0]["params"]
    (beta,) = run(loaded, params, [torch.ones(N)])
    settings = loaded.settings
    low, high = settings.beta_bounds if settings.controls_beta else (settings.beta, settings.beta)
    assert low <= beta <= high


@pytest.mark.parametrize("base", [Adam, AdamW])
def test_the_default_measures_the_update_of_an_adaptive_base(base: Any) -> None:
    params = parameters()
    optimizer = HTGA(base(params, lr=0.01))
    assert optimizer.settings.apply == "update"
    # The second moment has divided by what is large: all first steps are of one size.
    assert run(optimizer, params, [HEAVY]) == [0.0]
