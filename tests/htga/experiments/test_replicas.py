"""Replicas that train at once end where the optimizers themselves do."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from htga.experiments.amplified_replicas import AmplifiedReplicas
from htga.experiments.methods import Method
from htga.experiments.replicas import fit_replicas, train_replicas
from htga.experiments.tasks import TASKS, Task
from htga.experiments.trial import fit, train
from htga.optim.settings import resolve

CLEAN = replace(TASKS["digits"], steps=3)
NOISY = replace(TASKS["digits, stable noise"], steps=3)
EXACT: dict[str, Any] = {"ranks": "exact", "ties": "average"}

CASES: dict[str, tuple[Task, Method, float]] = {
    "SGD": (NOISY, Method("SGD"), 0.1),
    "clipped": (NOISY, Method("SGD", clips=True), 0.3),
    "AdamW": (CLEAN, Method("AdamW"), 0.01),
    "Signum": (CLEAN, Method("Signum"), 0.01),
    "Lion": (NOISY, Method("Lion"), 0.01),
    "guard": (NOISY, Method("SGD", settings={"preset": "guard", **EXACT}), 0.1),
    "temper": (NOISY, Method("SGD", clips=True, settings={"preset": "temper", **EXACT}), 0.1),
    "amplify": (CLEAN, Method("SGD", settings={"preset": "amplify", **EXACT}), 0.1),
    "amplify, AdamW": (CLEAN, Method("AdamW", settings={"preset": "amplify", **EXACT}), 0.01),
    "seed": (CLEAN, Method("SGD", settings={"preset": "seed", "ties": "average"}), 0.001),
}


@pytest.mark.parametrize(("task", "method", "lr"), CASES.values(), ids=CASES)
def test_a_replica_has_the_parameters_of_the_optimizer_itself(
    task: Task, method: Method, lr: float
) -> None:
    model, seen = fit(task, method, lr, 4)
    expected = nn.utils.parameters_to_vector(model.parameters()).detach()
    batch = fit_replicas(task, method, [lr / 3, lr], [3, 4])
    start = nn.utils.parameters_to_vector(task.network(4).parameters()).detach()
    way = (expected - start).norm()
    # The first updates of Adam are all of one size, so that rounding decides their ranks.
    within = 5e-3 if method.base == "AdamW" and seen else 1e-5
    assert float((batch.theta[3] - expected).norm()) <= within * float(way)
    assert float((batch.theta[2] - expected).norm()) > 0.1 * float(way)  # another seed
    assert float((batch.theta[1] - expected).norm()) > 0.1 * float(way)  # another rate
    acted, alphas = batch.watched()
    assert math.isnan(acted[3]) == (not seen)
    if seen:
        beta, gamma, alpha = torch.stack(seen).unbind(1)
        assert acted[3] == float(((beta != 0) | (gamma != 1)).double().mean()) > 0
        assert alphas[3] == pytest.approx(float(alpha.nanmedian()), rel=max(within, 1e-4))


def test_an_outcome_of_a_replica_is_that_of_a_training() -> None:
    method = Method("SGD", clips=True)
    (one,) = train_replicas(CLEAN, method, [0.3], [7])
    other = train(CLEAN, method, 0.3, 7)
    for name in ("val_loss", "val_accuracy", "test_loss", "test_accuracy"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-5)


def test_a_training_that_diverges_counts_as_a_guess() -> None:
    (one,) = train_replicas(CLEAN, Method("SGD"), [1e30], [0])
    assert (one.test_loss, one.test_accuracy) == (math.log(10), 0.1)


@pytest.mark.parametrize(
    ("name", "value"), [("estimator", "moment"), ("scope", "tensor"), ("scope", "group")]
)
def test_what_replicas_do_not_do_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .* here, got '{value}'"):
        AmplifiedReplicas.of(resolve("guard", {name: value}), [10], 2)
