"""Amplify with the Triton kernels under their interpreter, and say where PyTorch does otherwise.

A process of its own, because Triton reads TRITON_INTERPRET when it is imported.
"""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from htga.optim import PRESETS, Settings, amplify, triton_amplify
from htga.optim.controller.amplified import Amplified
from htga.optim.controller.controller import ControllerState, start
from htga.optim.weights import reweight
from htga.optim.weights.flat_parameter import flat_parameter
from htga.optim.weights.rank_weights import RankWeights
from htga.optim.weights.samples import Sample, sample_of
from htga.tail.estimators import triton_excesses
from htga.tail.histogram import sketch
from htga.tail.histogram.counting import uses_triton
from tests.htga.distributions import gaussian, pareto, student_t
from tests.support.seeded_random import LONG

CPU = torch.device("cpu")
TIED = torch.tensor([1.5, -2.5] * 500)

SAMPLES: dict[str, Tensor] = {
    "heavy": student_t(1.5, 6000).float(),
    "too heavy": student_t(0.8, 6000).float(),
    "hardly a tail": gaussian(6000).float(),
    "two powers": torch.cat([pareto(1.1, 3000), 40 * gaussian(3000)]).float(),
    "zeros": torch.where(torch.arange(6000) % 3 == 0, 0.0, student_t(1.2, 6000).float()),
    "ties": torch.cat([gaussian(3000).float(), TIED, -TIED]),
    "tied at the top": torch.cat([gaussian(3000).float(), torch.full((400,), 7.0)]),
    "one large": torch.cat([gaussian(3000).float() * 1e-3, torch.tensor([50.0])]),
    "tiny": student_t(1.5, 3000).float() * 1e-42,
    "huge": student_t(1.5, 3000).float().clamp(-1e7, 1e7) * 1e30,
    "all alike": torch.full((3000,), -3.3),
    "nothing but zeros": torch.zeros(3000),
    "few": gaussian(300).float(),
    "one": torch.tensor([2.0]),
    "not finite": torch.cat([student_t(1.5, 3000).float(), torch.tensor([torch.inf, torch.nan])]),
    "double precision": student_t(0.9, 4000),
}

SETTINGS: tuple[dict[str, Any], ...] = (
    {"scope": "global"},
    {"actuator": "both", "law": "integral", "normalize": "mean_one", "k": 0.02},
    {"actuator": "gamma", "beta": -0.05, "max_coord_share": 0.125, "k": 700},
    {"beta": 0.7, "actuator": "none", "w_max": 9.0, "smoothing_of": "alpha", "normalize": "none"},
    {"beta": 1.0, "actuator": "none", "max_coord_share": 0.2, "normalize": "mean_one"},
    {"estimator": "moment", "fixed_gamma": 1.5, "direction": "as_written"},
    {"actuator": "none"},
)


HARD = ("too heavy", "ties", "one large")
TEMPERING: dict[str, Any] = {"target_alpha": 3.0, "beta_bounds": (-5.0, 0.1)}


def main() -> int:
    """Exit status 1 if anything differs."""
    assert uses_triton(CPU)
    np.seterr(all="ignore")  # The interpreter computes what a mask then hides.
    # What is compared is control and weights; and the two ways of the rest are tested elsewhere.
    for module, name in (
        (amplify, "host_decides"),
        (amplify, "done_by_triton"),
        (sketch, "_by_triton"),
        (reweight, "uses_triton"),
    ):
        setattr(module, name, lambda *_: False)
    few_programs(4096)
    cases: list[tuple[str, str, dict[str, Any]]] = [(name, "amplify", {}) for name in SAMPLES]
    cases += [(name, "amplify", TEMPERING) for name in (SAMPLES if LONG else HARD)]
    cases += [(name, "amplify", given) for given in SETTINGS for name in HARD]
    cases += [(name, "seed", {"ranks": "fast", "ties": "average"}) for name in HARD]
    cases += [(name, "guard", {}) for name in ("too heavy", "hardly a tail", "not finite")]
    wrong = [f"{case}: {what}" for case in cases for what in differences(*case)]
    few_programs(1024)  # several for each sample
    wrong += several()
    print("\n".join(wrong) or "all steps agree")
    return 1 if wrong else 0


def few_programs(block: int) -> None:
    """Let each program look at so many entries at a time: the interpreter takes long for each."""
    for module in (triton_excesses, triton_amplify):
        module.BLOCK = block  # type: ignore[attr-defined] # one imports it from the other


def differences(name: str, preset: str, given: dict[str, Any]) -> list[str]:
    """What a step leaves otherwise."""
    x, settings = SAMPLES[name], replace(PRESETS[preset], **given)
    wrong = [] if settings.changes_nothing else weights_of(x, settings)
    begin = start(settings, CPU)
    if not given:
        begin = replace(begin, alpha_bar=torch.tensor(1.7).double(), gamma=begin.gamma * 1.1)
    written: list[Tensor] = []
    outcomes: list[Amplified] = []
    for amplified in WAYS:
        parts = [y.clone() for y in (x[:7], x[7:]) if y.numel()]
        sample = sample_of([flat_parameter(part) for part in parts], settings.scope)
        outcomes.append(amplified({0: sample}, begin, settings, masks=True))
        written.append(torch.cat(parts))
    wrong += unequal(*outcomes)
    idle = float(outcomes[1].controller.beta) == 0 and float(outcomes[1].controller.gamma) == 1
    if idle and not outcomes[1].bad and not all(torch.equal(x, y) for y in written):
        wrong.append("entries that no weight changes")
    one, other = written
    tiny = 1e-12 * float(one.double().abs().max())
    if not torch.allclose(one, other, rtol=2e-6, atol=tiny, equal_nan=True):
        wrong.append("entries")
    return wrong


WAYS = (amplify.amplify_samples, triton_amplify.amplify_by_triton)


def unequal(one: Amplified, other: Amplified) -> list[str]:
    """Names of numbers that are not the same."""
    wrong = [
        name.name
        for name in fields(ControllerState)
        if not close(
            getattr(one.controller, name.name), getattr(other.controller, name.name), 1e-12
        )
    ]
    for i, tail in one.tails.items():
        for field in fields(tail):
            if field.name == "histogram":
                continue
            a, b = getattr(tail, field.name), getattr(other.tails[i], field.name)
            # The ratio is that of entries written in float32.
            tolerance = {"norm_ratio": 1e-6, "update_alpha": 1e-9}.get(field.name, 1e-11)
            if a.dtype != b.dtype or a.shape != b.shape or not close(a, b, tolerance):
                wrong.append(f"{field.name} {float(a)!r} {float(b)!r}")
        if tail.histogram != other.tails[i].histogram:
            wrong.append("histogram")
    return wrong if torch.equal(one.bad, other.bad) else [*wrong, "bad"]


def weights_of(x: Tensor, settings: Settings) -> list[str]:
    """In what the weights differ."""
    sample = sample_of([flat_parameter(x.clone())], "global")
    controller = torch.tensor([torch.nan, settings.constant_gamma, settings.beta]).double()
    step = triton_amplify._Step.of(sample, controller, settings)
    step.control()
    found, _ = step.weights()
    share = settings.max_coord_share
    beta, gamma = controller[2], controller[1]
    seen = step.seen.sketch
    plain = RankWeights.of(seen, d=x.numel(), beta=beta, w_max=settings.w_max, share=share)
    # How much a weight rises is a difference of two; and so is what a cap leaves to all others,
    # where one entry had all but a billionth.
    tolerances = {"largest": 0.0, "exact": 1e-6, "total": 1e-6, "level": 1e-6}
    tolerances |= {"squares": 1e-6} if bool(seen.squares.isfinite()) else {}
    if not torch.allclose(plain.rise, found.rise / found.level[-1], rtol=1e-5, atol=1e-11):
        return ["weights rise"]
    expected = plain.normalized(seen, settings.normalize).scaled(gamma)
    return [
        f"weights {name}"
        for name, tolerance in tolerances.items()
        if not close(getattr(expected, name), getattr(found, name), tolerance)
    ]


def several() -> list[str]:
    """Two samples of three have a gradient; the other keeps what it remembers."""
    settings = replace(PRESETS["amplify"], scope="group", actuator="both")
    outcomes = []
    for amplified in WAYS:
        controller = start(settings, CPU, (3,))
        for name in ("heavy", "too heavy"):
            samples: dict[int, Sample] = {
                i: sample_of([flat_parameter(SAMPLES[name].clone().roll(i) * (1 + i))], "group")
                for i in (0, 2)
            }
            outcome = amplified(samples, controller, settings, masks=False)
            controller = outcome.controller
        outcomes.append(outcome)
    return [f"several samples: {name}" for name in unequal(*outcomes)]


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether numbers are equal but for rounding."""
    return torch.allclose(a.double(), b.double(), rtol=tolerance, atol=1e-300, equal_nan=True)


if __name__ == "__main__":
    sys.exit(main())
