"""What telemetry costs a training loop on a CPU: step time with and without it.

A convolutional network of 2.1 million parameters trains on random images, batch 64. Blocks of ten
steps with a probe and without take turns, so that a drift of the machine's speed hits both alike;
the collector is a process of its own, as in real use, and shares the cores.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import torch
from machine import describe
from torch import nn

from htga import telemetry
from htga_client import Client

BLOCK, BLOCKS = 10, 16


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
                step_time(url, folder)
            finally:
                server.terminate()


def step_time(url: str, folder: str) -> None:
    """The ratio of step times, with a histogram at each step."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 8 * 8, 512),
        nn.ReLU(),
        nn.Linear(512, 10),
    )
    x, y = torch.randn(64, 3, 32, 32), torch.randint(10, (64,))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def block() -> float:
        begin = time.perf_counter()
        for _ in range(BLOCK):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        return (time.perf_counter() - begin) / BLOCK

    block()
    cases: dict[str, dict[str, Any]] = {
        "attached, as by default (65,536 entries a step)": {},
        "attached, layers too (`model=`)": {"model": model},
        "attached, all entries (`sample=0`)": {"sample": 0},
        "attached, `budget=0.01`": {"budget": 0.01},
    }
    bare: list[float] = []
    probed: dict[str, list[float]] = {case: [] for case in cases}
    overhead: dict[str, float] = {}
    for _ in range(BLOCKS):
        for case, options in cases.items():
            bare.append(block())
            run = telemetry.attach(optimizer, url=url, project="benchmark", dir=folder, **options)
            block()
            probed[case].append(block() / bare[-1])
            run.finish(timeout=30)
            with Client(url) as client:
                costs = client.series(run.id, ["overhead_ms"])["overhead_ms"].to_pylist()
            overhead[case] = statistics.median(costs)
    count = sum(p.numel() for p in model.parameters())
    print(f"| {count:,} parameters, every step, with histogram | step time | own overhead_ms |")
    print("|---|---|---|")
    print(f"| bare | {statistics.median(bare) * 1e3:.1f} ms | |")
    for case, ratios in probed.items():
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"| {case} | x {middle:.3f} ({low:.3f} to {high:.3f}) | {overhead[case]:.2f} |")


if __name__ == "__main__":
    main()
