"""What telemetry costs a training loop on a CPU: step time with and without it.

Blocks of ten steps of a network of 2.1 million parameters, with a probe and without, take turns, so
that a drift of the machine's speed hits both alike; the collector is a process of its own, as in
real use, and shares the cores. A second table says where the CPU time goes, which other work on the
machine disturbs less.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import torch
from machine import describe
from training import Training

from htga import telemetry
from htga_client import Client

BLOCK, BLOCKS, LONG = 10, 40, 300
BOTH = ("update", "weight")
CASES: dict[str, dict[str, Any]] = {
    "65,536 entries of the gradient a step, `updates_every=0`": {"updates_every": 0},
    "as by default, the update at each twentieth step": {},
    "the update at each step, `updates_every=1`": {"updates_every": 1},
    "layers too, `model=`": {"layers": "*"},
    "layers and tails of updates and weights, `tails=`": {"layers": "*", "tails": BOTH},
    "all entries, `sample=0`": {"sample": 0, "updates_every": 0},
    "all entries of each layer, `layers_every=1`": {
        "sample": 0, "layers": "*", "layers_every": 1, "updates_every": 0,
    },
    "`budget=0.01`": {"budget": 0.01},
}  # fmt: skip


def main() -> None:
    """Start a collector, measure, and print a table."""
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as folder:
        command = ["-m", "htga.cli.main", "up", "--port", "0", "--no-dashboard", "--data", data]
        with subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, text=True
        ) as server:
            url = server.stdout.readline().split()[3] if server.stdout else ""
            try:
                print(f"{describe()}, torch {torch.__version__}\n")
                training = Training()
                training.steps(BLOCK)
                step_time(training, url, folder)
                cpu_time(training, url, folder, server.pid)
            finally:
                server.terminate()


def step_time(training: Training, url: str, folder: str) -> None:
    """The ratio of step times, with a histogram at each step."""
    bare: list[float] = []
    probed: dict[str, list[float]] = {case: [] for case in CASES}
    overhead: dict[str, float] = {}
    for _ in range(BLOCKS):
        for case, options in CASES.items():
            bare.append(training.steps(BLOCK))
            run = telemetry.attach(
                training.optimizer, url=url, project="benchmark", dir=folder, **options
            )
            training.steps(BLOCK)
            probed[case].append(training.steps(BLOCK) / bare[-1])
            run.finish(timeout=30)
            with Client(url) as client:
                costs = client.series(run.id, ["overhead_ms"])["overhead_ms"].to_pylist()
            overhead[case] = statistics.median(costs)
    count = sum(p.numel() for p in training.model.parameters())
    print(f"| {count:,} parameters, every step, with histogram | step time | own overhead_ms |")
    print("|---|---|---|")
    print(f"| bare | {statistics.median(bare) * 1e3:.1f} ms | |")
    for case, ratios in probed.items():
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"| {case} | x {middle:.3f} ({low:.3f} to {high:.3f}) | {overhead[case]:.2f} |")


def cpu_time(training: Training, url: str, folder: str, collector: int) -> None:
    """Milliseconds of CPU that each part takes for a step, by the kernel's account of threads."""
    parts = ("htga-writer", "htga-sync", "htga-sender", "collector")
    print(f"\n| CPU, ms a step | step | {' | '.join(parts)} |\n|---|---|---|---|---|---|")
    for case, options in CASES.items():
        run = telemetry.attach(
            training.optimizer, url=url, project="benchmark", dir=folder, **options
        )
        training.steps(BLOCK)
        threads = {t.name: t.native_id for t in threading.enumerate()}
        before = [spent(part, threads, collector) for part in parts]
        step = training.steps(LONG)
        after = [spent(part, threads, collector) for part in parts]
        run.finish(timeout=30)
        cells = [f"{(b - a) / LONG:.2f}" for a, b in zip(before, after, strict=True)]
        print(f"| {case} | {step * 1e3:.1f} ms | {' | '.join(cells)} |", flush=True)


def spent(part: str, threads: dict[str, int | None], collector: int) -> float:
    """Milliseconds that a thread of this process, or the collector, has run so far."""
    accounts = [*Path(f"/proc/{collector}/task").glob("*/schedstat")]
    if part != "collector":
        accounts = [Path(f"/proc/self/task/{threads[part]}/schedstat")]
    return sum(int(account.read_text().split()[0]) for account in accounts) / 1e6


if __name__ == "__main__":
    main()
