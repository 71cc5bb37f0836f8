"""How fast Levy noise is drawn, and how long the scaling law takes to check.

Wall time is what a person waits; CPU time tells it from a machine that others use, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from machine import describe

from htga.experiments.levy.exit_times import experiments
from htga.experiments.levy.point import log_log_slope, measure
from htga.levy import sample_stable

INCREMENTS, SHAPE = 40_000_000, (50, 20_000)


def timed(work: Callable[[], str]) -> tuple[str, str, str]:
    """What the work found, its wall time and its CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, f"{time.perf_counter() - wall:.1f} s", f"{time.process_time() - cpu:.1f} s"


def draw(alpha: float) -> str:
    """4e7 increments, a block at a time, as the simulation does."""
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for _ in range(INCREMENTS // (SHAPE[0] * SHAPE[1])):
        largest = max(largest, float(sample_stable(alpha, SHAPE, generator=generator).abs().max()))
    return f"largest {largest:.3g}"


def scaling_law() -> str:
    """E2: twelve points, 600 exits or 4e7 particle-steps each."""
    generator = torch.Generator().manual_seed(0)
    points = next(e for e in experiments() if e.name == "E2").points
    measured = [measure(point, exits=600, generator=generator) for point in points]
    slopes = [log_log_slope(measured[i : i + 4])[0] for i in (0, 4, 8)]
    return "slopes " + ", ".join(f"{slope:.2f}" for slope in slopes)


def main() -> None:
    """Print a table."""
    print(f"{describe()}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| what | found | wall | CPU |\n|---|---|---|---|")
    for alpha in (1.0, 1.5, 2.0):
        row = timed(partial(draw, alpha))
        print(f"| {INCREMENTS:,} increments, alpha {alpha} | {' | '.join(row)} |")
    print(f"| E2, alpha 1.2, 1.5, 1.8 | {' | '.join(timed(scaling_law))} |")


if __name__ == "__main__":
    main()
