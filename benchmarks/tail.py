"""Tail estimation against its peers: time and error.

    PYTHONPATH=.:client python benchmarks/tail.py

Times are taken in turn with what they are compared with, round after round, and the ratio is the
median of the rounds' ratios, so that other work on the machine disturbs both alike.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from machine import describe
from powerlaw import Fit
from torch import Tensor

from htga.tail import (
    LogHistogram,
    TailEstimate,
    hill,
    measure,
    moment,
    pickands,
    qq,
    rank_regression,
    stable_ecf,
    stable_mmo,
    stable_quantile,
)

SIZE = 10_000_000
ALPHA = 1.5
ROUNDS = 9
SAMPLES = 200

Work = Callable[[], Any]


def main() -> None:
    """Print every table."""
    print(f"{describe()}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    counting()
    error()
    binning()


def table(*head: str) -> None:
    """Begin a table."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")


def row(*cells: str) -> None:
    """Add a row to the table begun last."""
    print(f"| {' | '.join(cells)} |", flush=True)


def seconds(work: Work) -> float:
    """How long `work` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def against(ours: Work, peer: Work, rounds: int = ROUNDS) -> tuple[float, float, float]:
    """Median times of both and median ratio of ours to the peer's, taken in turn."""
    ours()
    peer()
    pairs = [(seconds(ours), seconds(peer)) for _ in range(rounds)]
    ratio = statistics.median(a / b for a, b in pairs)
    first, second = (statistics.median(times) for times in zip(*pairs, strict=True))
    return first, second, ratio


def heavy(size: int, seed: int = 0) -> Tensor:
    """Student's t with 1.5 degrees of freedom or nearly so, float32."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(size, generator=generator)
    return normal * torch.rand(size, generator=generator).clamp_min(1e-7).pow(-1 / ALPHA)


def pareto(size: int, seed: int) -> Tensor:
    """float64, by inversion."""
    uniform = np.random.default_rng(seed).random(size)
    return torch.from_numpy((1 - uniform) ** (-1 / ALPHA))


def counting() -> None:
    """Counting and estimating once through a large sample."""
    print(f"{SIZE:,} float32 entries of a heavy tail.\n")
    x = heavy(SIZE)
    magnitudes, k = x.abs(), round(SIZE**0.6)
    array, threshold = magnitudes.numpy(), float(magnitudes.kthvalue(SIZE - k).values)
    peers: list[tuple[str, Work]] = [
        ("torch.histc, 2048 bins", partial(torch.histc, x, 2048)),
        ("numpy.histogram, 2048 bins", partial(np.histogram, array, 2048)),
        (f"torch.topk, k = {k:,}", partial(magnitudes.topk, k)),
        ("torch.sort", x.sort),
        ("numpy.sort", partial(np.sort, array)),
        (f"powerlaw.Fit, xmin of k = {k:,}", partial(Fit, array, xmin=threshold, verbose=False)),
    ]
    table("ours", "ms", "peer", "ms", "ours / peer")
    for name, ours in (
        ("LogHistogram.update", lambda: LogHistogram().update(x)),
        ("hill", lambda: hill(x)),
        ("measure", lambda: measure(x)),
    ):
        for peer_name, peer in peers:
            mine, theirs, ratio = against(ours, peer)
            row(name, f"{mine * 1e3:.1f}", peer_name, f"{theirs * 1e3:.1f}", f"{ratio:.3f}")
    print()


def error() -> None:
    """Root mean squared error of alpha on Pareto samples, where its least is alpha / sqrt(k)."""
    n, k = 10_000, 500
    print(
        f"alpha on {SAMPLES} Pareto samples of {n:,} entries, alpha = {ALPHA}, k = {k}, as a "
        f"multiple of the Cramer-Rao bound alpha / sqrt(k) = {ALPHA / k**0.5:.4f}.\n"
    )
    samples = [pareto(n, seed) for seed in range(SAMPLES)]
    estimators: dict[str, Callable[[Tensor], TailEstimate]] = {
        "hill": lambda x: hill(x, k),
        "LogHistogram.hill, 3 bits": lambda x: LogHistogram().update(x).hill(k),
        "LogHistogram.hill, 0 bits": lambda x: LogHistogram(0).update(x).hill(k),
        "moment": lambda x: moment(x, k),
        "rank_regression": lambda x: rank_regression(x, k),
        "qq": lambda x: qq(x, k),
        "pickands": lambda x: pickands(x, k),
    }
    table("estimator", "mean", "RMSE / bound", "stderr it gives / bound")
    for name, estimator in estimators.items():
        estimates = [estimator(x) for x in samples]
        alphas = torch.stack([estimate.alpha for estimate in estimates])
        bound = ALPHA / k**0.5
        rmse = float((alphas - ALPHA).square().mean().sqrt()) / bound
        stderr = float(torch.stack([estimate.stderr for estimate in estimates]).median()) / bound
        row(name, f"{float(alphas.mean()):.3f}", f"{rmse:.2f}", f"{stderr:.2f}")
    print("\nThose that take the whole sample for a stable law, on stable samples instead.\n")
    table("estimator", "mean", "RMSE", "stderr it gives")
    stable_samples = [symmetric_stable(n, seed) for seed in range(SAMPLES)]
    for whole in (stable_ecf, stable_quantile, stable_mmo):
        found = [whole(x) for x in stable_samples]
        alphas = torch.stack([estimate.alpha for estimate in found])
        stderr = float(torch.stack([estimate.stderr for estimate in found]).median())
        rmse = float((alphas - ALPHA).square().mean().sqrt())
        row(whole.__name__, f"{float(alphas.mean()):.3f}", f"{rmse:.4f}", f"{stderr:.4f}")
    print()


def symmetric_stable(size: int, seed: int) -> Tensor:
    """By Chambers, Mallows and Stuck, float64."""
    generator = np.random.default_rng(seed)
    u = np.pi * (generator.random(size) - 0.5)
    w = generator.exponential(size=size)
    x = np.sin(ALPHA * u) / np.cos(u) ** (1 / ALPHA)
    return torch.from_numpy(x * (np.cos((1 - ALPHA) * u) / w) ** ((1 - ALPHA) / ALPHA))


def binning() -> None:
    """What bins change of Hill's estimate at the same k, on a million entries."""
    n = 1_000_000
    print(f"Largest relative difference of the binned index from Hill's at the same k, n = {n:,},")
    print("over 5 seeds.\n")
    ks: tuple[float | str, ...] = ("auto", 0.01, 0.1)
    table("law", "bits", *(f"k = {k}" for k in ks))
    laws: dict[str, Callable[[int], Tensor]] = {
        "Pareto": lambda seed: pareto(n, seed),
        "stable": lambda seed: symmetric_stable(n, seed),
    }
    for law, draw in laws.items():
        for bits in (0, 3, 5):
            worst = dict.fromkeys(ks, 0.0)
            for seed in range(5):
                x = draw(seed)
                counted = LogHistogram(bits).update(x)
                for k in ks:
                    binned = counted.hill(k)  # type: ignore[arg-type] # each is a K
                    exact = hill(x, int(binned.k)).alpha
                    worst[k] = max(worst[k], abs(float(binned.alpha / exact) - 1))
            row(law, str(bits), *(f"{worst[k]:.2%}" for k in ks))
    print()


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # powerlaw warns of its own names
    main()
