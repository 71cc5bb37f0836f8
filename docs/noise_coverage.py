"""How well estimators find the index of noise between minibatches, and what their intervals cover.

    python docs/noise_coverage.py

Prints the first two tables of `docs/measures.md`, from independent draws with fixed seeds, in a few
minutes on one core, and then the third, two tail indices of one network while it trains.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from htga import telemetry
from htga.experiments import digits
from htga.levy import sample_isotropic_stable, sample_stable
from htga.tail import hill, stable_ecf
from htga.telemetry.closures.stable_scaling import stable_index

SAMPLES = 200
DECADES = 2
Draw = Callable[[torch.Generator, int, int], Tensor]


def alike(alpha: float) -> Draw:
    """Independent entries of one scale."""
    return lambda rng, n, d: sample_stable(alpha, (n, d), generator=rng)


def scaled(alpha: float) -> Draw:
    """Independent entries, each weight on a scale of its own."""
    return lambda rng, n, d: (
        alike(alpha)(rng, n, d) * 10 ** (DECADES * torch.rand(d, generator=rng))
    )


def together(alpha: float) -> Draw:
    """All entries of a minibatch jump together."""
    return lambda rng, n, d: sample_isotropic_stable(alpha, (n, d), generator=rng)


def few_factors(rng: torch.Generator, n: int, d: int) -> Tensor:
    """Gaussian entries that ten factors determine."""
    return torch.randn(n, 10, generator=rng) @ torch.randn(10, d, generator=rng)


LAWS: dict[str, tuple[float, Draw]] = {
    **{f"stable, {alpha}": (alpha, alike(alpha)) for alpha in (1.3, 1.6, 1.9)},
    "Gaussian": (2.0, alike(2.0)),
    **{
        f"stable, {alpha}, two decades of scales": (alpha, scaled(alpha))
        for alpha in (1.3, 1.6, 1.9)
    },
    "Gaussian, two decades of scales": (2.0, scaled(2.0)),
    "stable, 1.5, all jump together": (1.5, together(1.5)),
    "Gaussian, ten factors": (2.0, few_factors),
}


def found(draws: Tensor) -> tuple[float, float, float, float]:
    """By sums and its standard error, by the characteristic function, by Hill."""
    array: NDArray[np.float32] = draws.float().numpy()
    return *stable_index(array), float(stable_ecf(draws).alpha), float(hill(draws).alpha)


def coverage() -> None:
    """Print how often the interval covers, and the mean of three estimators."""
    print(
        "| noise | batches | weights | `noise_alpha`: mean, scatter | covered | called light "
        "| characteristic function | Hill, 1 % |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for law, (alpha, draw) in LAWS.items():
        for batches, d in ((8, 5000), (16, 500), (16, 5000)):
            rng = torch.Generator().manual_seed(0)
            rows = np.array([found(draw(rng, batches // 2, d)) for _ in range(SAMPLES)])
            index, stderr = rows[:, 0], rows[:, 1]
            known = np.isfinite(index)
            inside = np.abs(index - alpha)[known] <= 1.96 * stderr[known]
            light = (index + 1.96 * stderr)[known] >= 2
            print(
                f"| {law} | {batches} | {d:,} | {np.nanmean(index):.2f}, {np.nanstd(index):.3f} "
                f"| {inside.mean():.0%} | {light.mean():.0%} | {np.nanmean(rows[:, 2]):.2f} "
                f"| {np.nanmean(rows[:, 3]):.2f} |",
                flush=True,
            )


def minibatch_loss(model: torch.nn.Module, data: digits.Digits, batch: int) -> Tensor:
    """The loss of samples that are drawn at random."""
    drawn = torch.randint(len(data.x), (batch,))
    return cross_entropy(model(data.x[drawn]), data.y[drawn])


def two_indices(spool: str) -> None:
    """Print both indices of a convolutional network on digits, at three times, for two batches."""
    print(
        "\n| batch | step | accuracy | `alpha_hat`, entries of one gradient "
        "| `noise_alpha` ± 1.96 stderr | `noise_norm_alpha` | `noise_hill` | `noise_share` "
        "| `noise_slope` | `noise_scale`, samples |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for batch in (16, 64):
        torch.manual_seed(0)
        data, model = digits.load(), digits.network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
        stream = digits.batches(data, batch, 0)

        closure = partial(minibatch_loss, model, data, batch)
        with telemetry.attach(optimizer, mode="offline", dir=spool, model=model) as run:
            step = 0
            for goal in (0, 400, 3000):
                for x, y in islice(stream, goal - step):
                    optimizer.zero_grad()
                    cross_entropy(model(x), y).backward()
                    optimizer.step()
                step = goal
                with torch.no_grad():
                    right = (model(data.x).argmax(1) == data.y).float().mean().item()
                optimizer.zero_grad()
                closure().backward()
                alpha = hill(
                    [p.grad for p in model.parameters() if p.grad is not None]
                ).alpha.item()
                optimizer.zero_grad()
                measured = run.measure_noise(closure, 400, batch_size=batch)
                if measured is None:
                    sys.exit("nothing was measured")
                n = measured.whole
                print(
                    f"| {batch} | {step:,} | {right:.3f} | {alpha:.2f} "
                    f"| {n.noise_alpha:.2f} ± {1.96 * n.noise_stderr:.2f} "
                    f"| {n.noise_norm_alpha:.2f} | {n.noise_hill:.2f} | {n.noise_share:.2f} "
                    f"| {n.noise_slope:+.2f} | {n.noise_scale:.0f} |",
                    flush=True,
                )


def main() -> None:
    """Print the tables."""
    coverage()
    with tempfile.TemporaryDirectory() as spool:
        two_indices(spool)


if __name__ == "__main__":
    main()
