"""Make the figures of docs/tail.md in docs/images, and print its tables.

    PYTHONPATH=.:client python docs/tail_figures.py

Samples of laws whose tail is known go through the estimators of `htga.tail`, from fixed seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from htga.experiments.levy.chart import Chart, Curve, write_png
from htga.levy import sample_stable
from htga.tail import (
    LogHistogram,
    TailEstimate,
    hill,
    jackknife,
    moment,
    pickands,
    qq,
    rank_regression,
    stable_ecf,
    stable_mmo,
    stable_quantile,
)

IMAGES = Path(__file__).parent / "images"
N = 100_000
LAYERS = 60
SHARES = [10 ** (-3.5 + 3 * i / 60) for i in range(61)]
"""k / n of a Hill plot, from 0.0003 to 0.3."""

Law = Callable[[int, torch.Generator], Tensor]


def main() -> None:
    """Draw and print everything."""
    write_png(hill_plot(), IMAGES)
    write_png(layers_plot(), IMAGES)
    estimators_table()
    dependence_table()


def uniform(n: int, generator: torch.Generator) -> Tensor:
    """Uniform on (0, 1), float64."""
    return torch.rand(n, generator=generator, dtype=torch.float64).clamp(min=2.0**-53)


def normal(n: int, generator: torch.Generator) -> Tensor:
    """Standard normal, float64."""
    return torch.randn(n, generator=generator, dtype=torch.float64)


def student_t(alpha: int, n: int, generator: torch.Generator) -> Tensor:
    """Student's t with a whole number of degrees of freedom, which is its tail index."""
    chi2 = torch.stack([normal(n, generator).square() for _ in range(alpha)]).sum(0)
    return normal(n, generator) / (chi2 / alpha).sqrt()


def layers(n: int, generator: torch.Generator) -> Tensor:
    """Gaussian layers of equal size whose scales spread evenly over three decades, end to end."""
    scales = 10 ** torch.linspace(-3, 0, LAYERS, dtype=torch.float64)
    return (scales[:, None] * normal(n, generator).view(LAYERS, -1)).flatten()


LAWS: dict[str, tuple[str, Law]] = {
    "Pareto, 1.5": ("1.5", lambda n, g: uniform(n, g).pow(-1 / 1.5)),
    "Student t, 2": ("2", lambda n, g: student_t(2, n, g)),
    "Student t, 3": ("3", lambda n, g: student_t(3, n, g)),
    "stable, 1.5": ("1.5", lambda n, g: sample_stable(1.5, (n,), generator=g)),
    "stable, 1.8": ("1.8", lambda n, g: sample_stable(1.8, (n,), generator=g)),
    "lognormal, sigma 2": ("none", lambda n, g: (2 * normal(n, g)).exp()),
    "Laplace": ("none", lambda n, g: uniform(n, g).log() * normal(n, g).sign()),
    "Gaussian": ("none", normal),
    "60 Gaussian layers": ("none", lambda n, g: layers(n // LAYERS * LAYERS, g)),
}
"""The tail index of each law, and how to draw from it."""


def hill_curve(x: Tensor) -> list[float]:
    """Hill's index at each share, from a histogram fine enough to stand for the entries."""
    counted = LogHistogram(bits=6).update(x)
    return [float(counted.hill(share).alpha) for share in SHARES]


def hill_plot() -> Chart:
    """Hill's index against the share of the sample that is taken for its tail."""
    shown = ("Pareto, 1.5", "stable, 1.5", "stable, 1.8", "lognormal, sigma 2", "Gaussian")
    curves = [
        Curve(name=name, x=SHARES, y=hill_curve(draw(name, 4_000_000)), style="line", colour=i)
        for i, name in enumerate(shown)
    ]
    return Chart(
        name="hill-plot",
        title="Hill's estimate depends on how much is taken for the tail",
        x_label="k / n",
        y_label="alpha_hat",
        curves=curves,
        log="xy",
        y_range=(0.7, 20),
    )


def layers_plot() -> Chart:
    """What pooling layers of different scale does to Hill's index."""
    x = draw("60 Gaussian layers", 4_000_000)
    rows = x.view(LAYERS, -1)
    alike = rows / rows.square().mean(1, keepdim=True).sqrt()
    named = (("pooled as they are", x), ("each divided by its RMS", alike), ("one alone", rows[0]))
    return Chart(
        name="layers-plot",
        title="Sixty Gaussian layers, scales over three decades",
        x_label="k / n",
        y_label="alpha_hat",
        curves=[
            Curve(name=name, x=SHARES, y=hill_curve(values), style="line", colour=i)
            for i, (name, values) in enumerate(named)
        ],
        log="xy",
        y_range=(0.7, 20),
    )


def draw(name: str, n: int, seed: int = 0) -> Tensor:
    """A sample of one of the laws."""
    return LAWS[name][1](n, torch.Generator().manual_seed(seed))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for cells in rows:
        print(f"| {' | '.join(cells)} |")
    print()


def estimators_table() -> None:
    """What each estimator says of each law."""
    estimators: dict[str, Callable[[Tensor], TailEstimate]] = {
        "`hill`": hill,
        "`hill`, k = 10 %": lambda x: hill(x, 0.1),
        "`rank_regression`": rank_regression,
        "`qq`": qq,
        "`pickands`": pickands,
        "`stable_quantile`": stable_quantile,
        "`stable_ecf`": stable_ecf,
        "`stable_mmo`": stable_mmo,
    }
    rows = []
    for name, (index, _) in LAWS.items():
        x = draw(name, N)
        verdict = moment(x)
        rows.append(
            [
                name,
                index,
                *(f"{float(estimate(x).alpha):.2f}" for estimate in estimators.values()),
                f"{float(verdict.xi):+.2f}{', light' if verdict.light else ''}",
            ]
        )
    table(["law", "index", *estimators, "`moment`: xi"], rows)


def dependence_table() -> None:
    """How far estimates scatter where entries depend on one another, against what is claimed."""
    rows = []
    for batch in (1, 8, 32):
        estimates = []
        for seed in range(100):
            generator = torch.Generator().manual_seed(seed)
            outputs = student_t(3, 80 * batch, generator).view(80, batch)
            inputs = student_t(3, 400 * batch, generator).view(batch, 400)
            gradient = outputs @ inputs
            estimates.append((hill(gradient, 0.05), jackknife(gradient.split(1), 0.05)))
        scatter = torch.stack([plain.alpha for plain, _ in estimates]).std()
        claims = [torch.stack([e[i].stderr for e in estimates]).median() for i in (0, 1)]
        rows.append([str(batch), *(f"{float(value):.3f}" for value in (scatter, *claims))])
    table(["batch", "scatter of alpha_hat", "stderr of `hill`", "stderr of `jackknife`"], rows)


if __name__ == "__main__":
    main()
