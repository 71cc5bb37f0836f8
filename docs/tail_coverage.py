"""How often the interval of alpha covers the truth, how often `light` is wrong, how good a k is.

    python docs/tail_coverage.py

Prints three tables of `docs/tail.md`, from independent draws with fixed seeds; it takes some
minutes on one core.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from htga.tail.estimators.choose_k import Rule, choose_k
from htga.tail.light_tail import QUANTILE
from htga_client.statistics.hill import default_k, hill_of_logs, moment_of_logs

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]

DRAWS = {1_000: 1_000, 10_000: 500, 100_000: 200, 1_000_000: 50}
"""Number of samples by their size."""


def student_t(degrees: float) -> Draw:
    """Draw from Student's t."""
    return lambda rng, n: rng.standard_t(degrees, n)


def stable(alpha: float) -> Draw:
    """Draw from the symmetric stable law (Chambers, Mallows, Stuck)."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        angle, wait = np.pi * (rng.random(n) - 0.5), rng.exponential(size=n)
        tilt = np.cos(angle - alpha * angle) / wait
        value: Floats = np.sin(alpha * angle) / np.cos(angle) ** (1 / alpha)
        return value * tilt ** ((1 - alpha) / alpha)

    return draw


def generalized_pareto(xi: float) -> Draw:
    """Draw from the generalized Pareto law, which ends at -1 / xi if xi is negative."""
    return lambda rng, n: np.expm1(-xi * np.log1p(-rng.random(n))) / xi


def pooled_layers(rng: np.random.Generator, n: int) -> Floats:
    """Draw from sixty Gaussian layers, whose scales span three decades."""
    scales = 10.0 ** np.linspace(-3, 0, 60)
    return rng.standard_normal(n) * scales[rng.integers(60, size=n)]


HEAVY: dict[str, tuple[float, Draw]] = {
    "Pareto, 1.5": (1.5, lambda rng, n: (1 - rng.random(n)) ** (-1 / 1.5)),
    "Burr, 1.6": (1.6, lambda rng, n: ((1 - rng.random(n)) ** (-1 / 0.8) - 1) ** 0.5),
    "Fréchet, 2.2": (2.2, lambda rng, n: rng.exponential(size=n) ** (-1 / 2.2)),
    "Student t, 2": (2.0, student_t(2)),
    "Student t, 3": (3.0, student_t(3)),
    "Student t, 5": (5.0, student_t(5)),
    "stable, 1.5": (1.5, stable(1.5)),
    "stable, 1.8": (1.8, stable(1.8)),
    "generalized Pareto, 2.5": (2.5, generalized_pareto(0.4)),
}
"""Laws with a power tail: index, and draw."""

LIGHT: dict[str, Draw] = {
    "Gaussian": lambda rng, n: rng.standard_normal(n),
    "uniform": lambda rng, n: rng.random(n),
    "generalized Pareto, ending": generalized_pareto(-0.25),
    "Laplace": lambda rng, n: rng.laplace(size=n),
    "60 Gaussian layers": pooled_layers,
    "Weibull, 0.5": lambda rng, n: rng.weibull(0.5, n),
    "lognormal, sigma 1": lambda rng, n: rng.lognormal(size=n),
}
"""Laws without a power tail."""


def estimates(draw: Draw, n: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    """alpha_hat at the default k, and the verdict, of each of `DRAWS[n]` samples."""
    k = default_k(n)
    alpha, light = [], []
    for _ in range(DRAWS[n]):
        largest = np.partition(np.abs(draw(rng, n)), n - k - 1)[n - k - 1 :]
        logs = np.log(np.sort(largest)[::-1])
        xi = moment_of_logs(logs, k)
        alpha.append(hill_of_logs(logs, k))
        light.append(xi <= QUANTILE * math.sqrt((1 + xi**2) / k))
    return np.array(alpha), np.array(light)


def table(cells: dict[str, list[str]], first: str) -> None:
    """Print a table with a column for each size."""
    print(f"| {first} | {' | '.join(f'n = {n:,}' for n in DRAWS)} |")
    print("|---" * (len(DRAWS) + 1) + "|")
    for law, row in cells.items():
        print(f"| {law} | {' | '.join(row)} |")
    print()


def rules(n: int = 5_000, draws: int = 20) -> None:
    """Print the median k of each rule and Hill's error there, beside those of the best fixed k."""
    grid = np.unique(np.geomspace(10, n // 2, 60).astype(np.int64))
    names: tuple[Rule, ...] = ("auto", "power", "ks")
    print(f"| law, its index | the best k, its error | {' | '.join(names)} |")
    print("|---" * (len(names) + 2) + "|")
    for law in ("Burr, 1.6", "Fréchet, 2.2", "Student t, 2", "Student t, 3"):
        truth, draw = HEAVY[law]
        rng = np.random.default_rng(2)
        at_grid: list[Floats] = []
        chosen: dict[Rule, list[tuple[int, float]]] = {name: [] for name in names}
        for _ in range(draws):
            x = np.abs(draw(rng, n))
            logs = np.sort(np.log(x))[::-1]
            at_grid.append(np.array([hill_of_logs(logs, int(k)) for k in grid]))
            for name in names:
                k = int(choose_k(torch.from_numpy(x), name))
                chosen[name].append((k, hill_of_logs(logs, k)))
        errors = np.sqrt(np.square(np.array(at_grid) - truth).mean(axis=0))
        cells = [f"{grid[errors.argmin()]}, {errors.min():.2f}"]
        for found in chosen.values():
            sizes, alphas = (np.array(column) for column in zip(*found, strict=True))
            error = math.sqrt(np.square(alphas - truth).mean())
            cells.append(f"{np.median(sizes):.0f}, {error:.2f}")
        print(f"| {law} | {' | '.join(cells)} |")


def main() -> None:
    """Print the tables."""
    rules()
    print()
    begin = time.monotonic()
    covered: dict[str, list[str]] = {}
    called: dict[str, list[str]] = {}
    for law, (truth, draw) in HEAVY.items():
        rng = np.random.default_rng(1)
        for n in DRAWS:
            alpha, light = estimates(draw, n, rng)
            hit = np.abs(alpha - truth) <= QUANTILE * alpha / math.sqrt(default_k(n))
            covered.setdefault(law, []).append(f"{hit.mean():.0%}, mean {alpha.mean():.2f}")
            called.setdefault(law, []).append(f"{light.mean():.0%} light")
        print(f"{law}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    for law, draw in LIGHT.items():
        rng = np.random.default_rng(1)
        for n in DRAWS:
            _, light = estimates(draw, n, rng)
            called.setdefault(law, []).append(f"{1 - light.mean():.0%} heavy")
        print(f"{law}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    table(covered, "law, its index")
    table(called, "law")


if __name__ == "__main__":
    main()
