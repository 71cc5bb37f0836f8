"""What a step of HTGA costs, beside the optimizers it wraps and beside ranks by sorting.

    python benchmarks/optimizer.py [--large]

Steps alternate with those of SGD. Beside the median time stands the median of the processor's time,
which holds up better where other work shares the machine; with OMP_NUM_THREADS=1, when no thread
waits for another, it is what a quiet machine would take.

The gradient is of Student's t with 1.5 degrees of freedom, cut into tensors of uneven sizes. Memory
is what a step takes beyond parameters, gradients and the base's state, at its highest, each case in
a process of its own. `--large` adds 100,000,000 parameters.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from machine import describe
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

from htga.optim import HTGA

SIZES = (100_000, 1_000_000, 10_000_000)
LARGE = 100_000_000
TENSORS = (1, 20, 200)
SECONDS = 6.0
ROUNDS = 25

Make = Callable[[list[Tensor]], Callable[[], Any]]


def sgd(parameters: list[Tensor]) -> Optimizer:
    """The base of most rows."""
    return SGD(parameters, lr=1e-9, momentum=0.9)


def by_argsort(parameters: list[Tensor]) -> Callable[[], None]:
    """The proposal taken literally: weights by argsort, then SGD."""
    base = sgd(parameters)

    def step() -> None:
        flat = torch.cat([p.grad.reshape(-1) for p in parameters if p.grad is not None])
        order = flat.abs().argsort(descending=True)
        ranks = torch.empty_like(flat)
        ranks[order] = torch.arange(1, flat.numel() + 1, dtype=flat.dtype)
        flat *= (ranks / flat.numel()).pow(-0.1)
        sizes = [p.numel() for p in parameters]
        for p, part in zip(parameters, flat.split(sizes), strict=True):
            if p.grad is not None:
                p.grad.copy_(part.view_as(p))
        base.step()

    return step


amplify = partial(HTGA, preset="amplify")

CASES: dict[str, Make] = {
    "SGD": lambda p: SGD(p, lr=1e-9).step,
    "SGD, momentum": lambda p: sgd(p).step,
    "SGD, momentum, foreach": lambda p: SGD(p, lr=1e-9, momentum=0.9, foreach=True).step,
    "SGD, momentum, fused": lambda p: SGD(p, lr=1e-9, momentum=0.9, fused=True).step,
    "AdamW": lambda p: AdamW(p, lr=1e-9, foreach=False).step,
    "AdamW, foreach": lambda p: AdamW(p, lr=1e-9, foreach=True).step,
    "AdamW, fused": lambda p: AdamW(p, lr=1e-9, fused=True).step,
    "HTGA, measuring only": lambda p: HTGA(sgd(p), actuator="none").step,
    "HTGA, guard that does not act": lambda p: HTGA(sgd(p), target_alpha=0.1).step,
    "HTGA, guard that acts": lambda p: HTGA(sgd(p), target_alpha=20.0).step,
    "HTGA, amplify": lambda p: amplify(sgd(p)).step,
    "HTGA, amplify, global": lambda p: amplify(sgd(p), scope="global").step,
    "HTGA, amplify, per tensor": lambda p: amplify(sgd(p), scope="tensor").step,
    "HTGA, amplify, update of AdamW": lambda p: amplify(AdamW(p, lr=1e-9, fused=True)).step,
    "HTGA, exact ranks": lambda p: amplify(sgd(p), scope="global", ranks="exact").step,
    "argsort ranks": by_argsort,
}
SLOW = ("HTGA, exact ranks", "argsort ranks")
OFTEN = (
    "SGD, momentum",
    "HTGA, amplify",
    "HTGA, amplify, global",
    "HTGA, amplify, update of AdamW",
)


def main() -> int:
    """Print the tables."""
    if len(sys.argv) == 4 and sys.argv[1] == "memory":
        print(extra_memory(CASES[sys.argv[2]], int(sys.argv[3])))
        return 0
    sizes = (*SIZES, LARGE) if "--large" in sys.argv else SIZES
    print(f"{describe()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for size in sizes:
        parameters = model(size)
        print(f"\n{size:,} parameters in {len(parameters)} tensors\n")
        print("| step | ms | processor, ms | times SGD with momentum |\n|---|---|---|---|")
        floor = sgd(parameters).step
        took: dict[str, float] = {}
        for name, make in CASES.items():
            if size > 10_000_000 and name in SLOW:
                continue
            wall, took[name], ratio = alternating(make(parameters), floor)
            print(
                f"| {name} | {wall * 1e3:.2f} | {took[name] * 1e3:.2f} | {ratio:.1f} |", flush=True
            )
        if "argsort ranks" in took:
            gain = took["argsort ranks"] / took["HTGA, amplify, global"]
            print(f"\nargsort ranks take {gain:.1f} times the time of HTGA, amplify, global")
    print(f"\n{SIZES[1]:,} parameters in so many tensors of one size, processor, ms\n")
    print("| step |", *(f"{n} |" for n in TENSORS))
    print("|---|" + "---|" * len(TENSORS))
    for name in OFTEN:
        by_tensors = (alike(SIZES[1], n) for n in TENSORS)
        taken = [alternating(CASES[name](p), sgd(p).step)[1] for p in by_tensors]
        print(f"| {name} |", *(f"{seconds * 1e3:.2f} |" for seconds in taken), flush=True)
    print("\n| memory beyond the base's | parameters | MiB | share of the parameters |")
    print("|---|---|---|---|")
    for name in ("HTGA, amplify", "HTGA, amplify, update of AdamW", "HTGA, exact ranks"):
        mib = float(in_a_process("memory", name, str(SIZES[-1])))
        print(f"| {name} | {SIZES[-1]:,} | {mib:.0f} | {mib * 2**20 / (4 * SIZES[-1]):.0%} |")
    return 0


def model(total: int) -> list[Tensor]:
    """Parameters of uneven sizes that add up to `total`, each with a gradient."""
    sizes, left = [], total
    while left:
        sizes.append(max(min(left, 200), left // 3))
        left -= sizes[-1]
    return with_gradients([torch.zeros(size) for size in sizes])


def alike(total: int, n: int) -> list[Tensor]:
    """The same in `n` parameters of one size."""
    return with_gradients([torch.zeros(total // n) for _ in range(n)])


def with_gradients(parameters: list[Tensor]) -> list[Tensor]:
    """Give each a gradient with a heavy tail."""
    generator = torch.Generator().manual_seed(0)
    for parameter in parameters:
        normal = torch.randn(parameter.numel(), generator=generator)
        scale = torch.rand(parameter.numel(), generator=generator).clamp_min_(1e-7)
        parameter.grad = normal.mul_(scale.pow_(-1 / 1.5))
    return parameters


def alternating(step: Callable[[], Any], floor: Callable[[], Any]) -> tuple[float, float, float]:
    """Medians: seconds of a step, of the processor's in it, and the ratio of these to `floor`'s."""
    step()
    walls: list[float] = []
    times: list[float] = []
    ratios: list[float] = []
    begin = time.perf_counter()
    while len(times) < ROUNDS and time.perf_counter() - begin < SECONDS:
        before = time.process_time()
        floor()
        between, since = time.process_time(), time.perf_counter()
        step()
        walls.append(time.perf_counter() - since)
        times.append(time.process_time() - between)
        ratios.append(times[-1] / (between - before))
    return statistics.median(walls), statistics.median(times), statistics.median(ratios)


def extra_memory(make: Make, size: int) -> float:
    """MiB by which the peak of the process grows in steps after the base's first."""
    parameters = model(size)
    step = make(parameters)
    base = AdamW if "AdamW" in sys.argv[2] else SGD
    warm: Any = base(parameters, lr=1e-9)
    warm.step()
    del warm
    optimizer = getattr(step, "__self__", None)
    if isinstance(optimizer, HTGA):
        optimizer.base.step()
    before = current()
    reset = "5"
    with open("/proc/self/clear_refs", "w", encoding="ascii") as control:  # noqa: PTH123
        control.write(reset)
    for _ in range(2):
        step()
    return (peak() - before) / 2**20


def current() -> int:
    """Resident bytes now."""
    return _status("VmRSS")


def peak() -> int:
    """The most resident bytes since the mark was reset."""
    return _status("VmHWM")


def _status(field: str) -> int:
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_a_process(*arguments: str) -> str:
    """What this script prints with other arguments."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
