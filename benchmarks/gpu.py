"""Everything that touches CUDA, checked and timed by one script.

    PYTHONPATH=.:client python benchmarks/gpu.py

It needs torch, numpy, pyarrow and the source tree, nothing else, so that it runs on a machine that
has no more. Checks come first: what the device computes against the same on the CPU, and that
neither `HTGA.step` nor an attached probe waits for the device. Then the times, as a table.
Without a CUDA device it says so and measures nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from htga import HTGA
from htga.optim import amplify
from htga.optim.weights.rank_weights import RankWeights
from htga.optim.weights.reweight import reweight, reweight_plain
from htga.tail import LogHistogram, measure
from htga.tail.histogram.sketch import Sketch, counts_and_squares
from htga.telemetry.probe import Probe

ROUNDS = 30

KINDS: tuple[dict[str, Any], ...] = (
    {"preset": "seed"},
    {"preset": "amplify"},
    {"preset": "amplify", "scope": "global", "normalize": "mean_one"},
    {"preset": "amplify", "scope": "tensor", "actuator": "both"},
    {"preset": "guard"},
)
"""Arguments of HTGA that take different ways through a step."""


def main() -> int:
    """Check, then time; exit status 1 if a check failed."""
    if not torch.cuda.is_available():
        print("no CUDA device: nothing is measured")
        return 0
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {sys.version.split()[0]}\n")
    checks: tuple[Callable[[], str | None], ...] = (
        counts_are_those_of_the_cpu,
        sketches_are_those_of_the_cpu,
        estimates_are_those_of_the_cpu,
        kernels_write_what_plain_operations_write,
        control_is_that_of_small_operations,
        steps_are_those_of_the_cpu,
        a_bad_number_stops_a_fused_base,
        a_bad_number_leaves_another_base_a_gradient_of_zeros,
        a_probe_does_not_wait,
        a_step_does_not_wait,
    )
    print("| check | result |\n|---|---|")
    failed = [check for check in checks if not run_check(check)]
    print("\n| what | time | against |\n|---|---|---|")
    for row in (*bandwidth(), *launching(), *measuring(), *stepping(), *overhead()):
        print(f"| {' | '.join(row)} |")
    return 1 if failed else 0


def run_check(check: Callable[[], str | None]) -> bool:
    """Run one check and print a line of the table; every check runs whatever the others do."""
    name = check.__name__.replace("_", " ")
    try:
        found = check()
    except Exception as error:  # noqa: BLE001 (the table tells)
        print(f"| {name} | FAIL: {type(error).__name__}: {str(error)[:160]!r} |")
        return False
    print(f"| {name} | PASS{f': {found}' if found else ''} |")
    return True


def sample(size: int, device: str = "cuda") -> Tensor:
    """Student's t with 1.5 degrees of freedom, some zeros, float32."""
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(size, generator=generator)
    scale = torch.rand(size, generator=generator).clamp_min(1e-7).pow(-1 / 1.5)
    return torch.where(torch.arange(size) % 97 == 0, 0.0, normal * scale).to(device)


def counts_are_those_of_the_cpu() -> None:
    """The same bits give the same counts."""
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        x = sample(1_000_003).to(dtype)
        x[5], x[7], x[9] = torch.inf, torch.nan, -torch.inf
        there, here = LogHistogram(device="cuda").update(x), LogHistogram().update(x.cpu())
        assert torch.equal(there.counts.cpu(), here.counts)
        assert int(there.n_zero) == int(here.n_zero)
        assert int(there.n_nonfinite) == int(here.n_nonfinite) == 3


def sketches_are_those_of_the_cpu() -> None:
    """Counts and the largest magnitudes bit for bit, whether their floor was guessed or missed."""
    x = sample(3_000_000)
    parts = [x[:999], x[999:70_000].half(), x[70_000:]]
    scales = 1.5 + torch.arange(3, device="cuda")
    for several in (parts, [part.clamp(-1, 1) for part in parts], [torch.ones_like(x)]):
        for size in (1, 5_000):
            for their in (None, scales[: len(several)]):
                there = Sketch.of(several, size, scales=their)
                moved = None if their is None else their.cpu()
                here = Sketch.of([part.cpu() for part in several], size, scales=moved)
                assert torch.equal(there.histogram.state.cpu(), here.histogram.state)
                assert torch.equal(there.largest.cpu(), here.largest)
                assert torch.allclose(there.squares.cpu(), here.squares, rtol=1e-6)
    counts, squares = counts_and_squares(parts)
    on_cpu = counts_and_squares([part.cpu() for part in parts])
    assert torch.equal(counts.state.cpu(), on_cpu[0].state)
    assert torch.allclose(squares.cpu(), on_cpu[1], rtol=1e-6)


def estimates_are_those_of_the_cpu() -> str:
    """Tail index, error and norm agree to rounding."""
    parts = [sample(n) for n in (1000, 50_000, 1_000_000)]
    there, here = measure(parts), measure([part.cpu() for part in parts])
    worst = 0.0
    for name in ("alpha_hat", "alpha_stderr", "xi", "k", "n", "grad_norm", "n_zero", "status"):
        one, other = float(getattr(there, name)), float(getattr(here, name))
        assert abs(one - other) <= 1e-6 * abs(other), (name, one, other)
        worst = max(worst, abs(one - other) / max(abs(other), 1))
    return f"off by {worst:.1e} at most"


def kernels_write_what_plain_operations_write() -> None:
    """The Triton kernel against the same table looked up by PyTorch."""
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        parts = [sample(n).clamp(-300, 300).to(dtype) for n in (3, 70_001, 2_000_000)]
        scales = 1.0 + torch.arange(3, device="cuda")
        for their in (None, scales):
            sketch = Sketch.of(parts, 20_000, scales=their)
            beta = torch.tensor(0.2, dtype=torch.float64, device="cuda")
            weights = RankWeights.of(sketch, d=2_070_004, beta=beta, w_max=1e9, share=0.5)
            one, other = ([part.clone() for part in parts] for _ in range(2))
            found = reweight(one, weights, their), reweight_plain(other, weights, their)
            assert torch.allclose(found[0], found[1], rtol=1e-5), (dtype, found)
            for a, b in zip(one, other, strict=True):
                assert torch.allclose(a, b, rtol=4 * torch.finfo(dtype).eps, atol=1e-7), dtype


def steps_are_those_of_the_cpu() -> str:
    """Twenty steps of each kind leave the same parameters to float32 rounding."""
    worst = 0.0
    for arguments in KINDS:
        results = []
        for device in ("cuda", "cpu"):
            weight = nn.Parameter(sample(200_000, device))
            base = torch.optim.SGD([weight], lr=1e-6, momentum=0.9)
            optimizer = HTGA(base, **{"normalize": "l2"} | arguments)
            for step in range(20):
                weight.grad = sample(200_000, device).roll(step) * (1 + step)
                optimizer.step()
            results.append(weight.detach().cpu().double())
        error = torch.linalg.vector_norm(results[0] - results[1]) / results[1].norm()
        assert error < 1e-5, (arguments, float(error))
        worst = max(worst, float(error))
    return f"off by {worst:.1e} at most"


def control_is_that_of_small_operations() -> str:
    """Kernels and the operations of PyTorch, on the same device, leave the same state."""
    worst = 0.0
    for arguments in (
        *KINDS[1:3],
        {"preset": "amplify", "target_alpha": 3.0, "beta_bounds": (-5.0, 0.1)},
    ):
        states = []
        by_triton = amplify.done_by_triton
        for way in (by_triton, lambda *_: False):
            amplify.done_by_triton = way
            try:
                weight = nn.Parameter(sample(2_000_000))
                optimizer = HTGA(torch.optim.SGD([weight], lr=1e-6), **arguments)
                for _ in range(3):
                    weight.grad = sample(2_000_000)
                    optimizer.step()
            finally:
                amplify.done_by_triton = by_triton
            states.append(optimizer.tail)
        for name in (
            "control_alpha",
            "control_stderr",
            "xi",
            "control_alpha_bar",
            "gamma",
            "beta",
            "update_alpha",
        ):
            one, other = (float(getattr(state, name)) for state in states)
            assert abs(one - other) <= 1e-8 * abs(other), (arguments, name, one, other)
            worst = max(worst, abs(one - other) / abs(other))
    return f"off by {worst:.1e} at most"


def a_bad_number_stops_a_fused_base() -> None:
    """Parameters and state stay as they are, and nothing has waited."""
    for base in (torch.optim.SGD, torch.optim.AdamW):
        parameters = model_parameters(100_000)
        optimizer = HTGA(base(parameters, lr=1e-3, fused=True))
        optimizer.step()
        before = [parameter.detach().clone() for parameter in parameters]
        for parameter in parameters:
            parameter.grad = sample(parameter.numel())
        step_with_a_bad_number(optimizer, parameters)
        assert all(map(torch.equal, before, parameters)), base


def a_bad_number_leaves_another_base_a_gradient_of_zeros() -> None:
    """No parameter becomes NaN."""
    parameters = model_parameters(100_000)
    optimizer = HTGA(torch.optim.SGD(parameters, lr=1e-3, foreach=True))
    before = [parameter.detach().clone() for parameter in parameters]
    step_with_a_bad_number(optimizer, parameters)
    assert all(map(torch.equal, before, parameters))


def step_with_a_bad_number(optimizer: HTGA, parameters: list[nn.Parameter]) -> None:
    """Spoil the first gradient and step; the state says so."""
    bad = torch.full_like(parameters[0], torch.inf)
    parameters[0].grad = bad
    optimizer.step()
    assert optimizer.tail is not None
    assert int(optimizer.tail.skipped) == 1


def a_probe_does_not_wait() -> None:
    """A step of a probed optimizer synchronises nowhere."""
    parameters = model_parameters(1_000_000)
    optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, fused=True)
    Probe(optimizer, lambda _: None)
    without_waiting(optimizer.step)


def a_step_does_not_wait() -> None:
    """HTGA's step synchronises nowhere, of whatever kind."""
    for arguments in (*KINDS, {"apply": "update"}):
        for base in (torch.optim.SGD, torch.optim.AdamW):
            for fused in (True, False):
                parameters = model_parameters(1_000_000)
                optimizer = HTGA(base(parameters, lr=1e-9, fused=fused), **arguments)
                without_waiting(optimizer.step)


def without_waiting(step: Callable[[], Any]) -> None:
    """Step a few times, then with every synchronisation an error."""
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


class Launches(TorchDispatchMode):
    """Counts, by name, what is launched: operations that are no views, and Triton kernels.

    An operation such as topk or a fused step is several kernels of its own, here it is one.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch has no types here
        self.found: Counter[str] = Counter()
        self._in_kernel = False

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = operation.name().removeprefix("aten::")
        free = name.startswith(("empty", "profiler", "detach")) or self._in_kernel
        if not (free or operation.is_view):
            self.found[name] += 1
        return operation(*args, **(kwargs or {}))

    @contextlib.contextmanager
    def kernels_too(self) -> Iterator[Counter[str]]:
        """Within, Triton kernels are counted as well."""
        if find_spec("triton") is None:
            with self:
                yield self.found
            return
        from htga.tail.histogram.triton_counting import kernel  # noqa: PLC0415 (maybe absent)

        kind, run = type(kernel), type(kernel).run

        def counted(kernel: Any, *args: Any, **kwargs: Any) -> Any:
            self.found[kernel.fn.__name__] += 1
            self._in_kernel = True
            try:
                return run(kernel, *args, **kwargs)
            finally:
                self._in_kernel = False

        kind.run = counted
        try:
            with self:
                yield self.found
        finally:
            kind.run = run


def launches(step: Callable[[], Any]) -> Counter[str]:
    """What one call launches, after a few that do what is done once."""
    for _ in range(3):
        step()
    with Launches().kernels_too() as found:
        step()
    return found


def launching() -> list[tuple[str, str, str]]:
    """How often a step and a probe launch anything."""
    rows = []
    base = torch.optim.SGD(model_parameters(1_000_000), lr=1e-9, momentum=0.9, fused=True)
    for arguments in (
        {"preset": "amplify", "scope": "global"},
        *KINDS[:2],
        {},
        {"actuator": "none"},
    ):
        found = launches(HTGA(base, **arguments).step)
        rows.append((f"launches of HTGA.step {arguments}", str(found.total()), ""))
    probe = Probe(base, lambda make: make)
    rows.append(("launches of a probed SGD.step", str(launches(base.step).total()), ""))
    probe.detach()
    return rows


def model_parameters(total: int) -> list[nn.Parameter]:
    """Parameters of uneven sizes that add up to `total`, each with a gradient."""
    sizes, left = [], total
    while left:
        sizes.append(max(1, left // 2))
        left -= sizes[-1]
    parameters = [nn.Parameter(torch.zeros(size, device="cuda")) for size in sizes]
    for parameter in parameters:
        parameter.grad = sample(parameter.numel())
    return parameters


def seconds(work: Callable[[], Any]) -> float:
    """Median time of `work` on the device."""
    for _ in range(5):
        work()
    times = []
    for _ in range(ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return float(statistics.median(times))


def bandwidth() -> list[tuple[str, str, str]]:
    """What the device can copy at all: the measure of the rest."""
    x = torch.empty(256 * 2**20 // 4, device="cuda")
    y = torch.empty_like(x)
    took = seconds(lambda: y.copy_(x))
    return [("copy of 256 MiB", f"{took * 1e3:.3f} ms", f"{2 * x.nbytes / took / 1e9:,.0f} GB/s")]


def measuring() -> list[tuple[str, str, str]]:
    """Reading a gradient, as a share of the copy bandwidth."""
    rows = []
    for size in (1_000_000, 10_000_000, 100_000_000):
        x = sample(size)
        y = torch.empty_like(x)
        floor = seconds(partial(y.copy_, x)) / 2
        for name, work in (
            ("LogHistogram.update", partial(LogHistogram(device="cuda").update, x)),
            ("Sketch.of", partial(Sketch.of, [x], int(1.25 * size**0.6))),
            ("measure", partial(measure, [x])),
        ):
            took = seconds(work)
            share = f"{floor / took:.0%} of bandwidth"
            rows.append((f"{name}, {size:,}", f"{took * 1e3:.3f} ms", share))
    return rows


def stepping() -> list[tuple[str, str, str]]:
    """HTGA's step against its fused base, and what memory it takes beyond it."""
    rows = []
    for size in (1_000_000, 25_000_000, 100_000_000):
        base = torch.optim.SGD(model_parameters(size), lr=1e-9, momentum=0.9, fused=True)
        floor = seconds(base.step)
        several: tuple[dict[str, Any], ...] = (
            {"actuator": "none"},
            {},
            {"preset": "amplify", "scope": "global"},
            {"preset": "amplify"},
        )
        for arguments in several:
            step = HTGA(base, **arguments).step
            took = seconds(step)
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            step()
            extra = (torch.cuda.max_memory_allocated() - before) / 2**20
            rows.append(
                (
                    f"HTGA.step {arguments}, {size:,}",
                    f"{took * 1e3:.3f} ms, {extra:.0f} MiB more",
                    f"{took / floor:.1f}x SGD",
                )
            )
    return rows


def overhead() -> list[tuple[str, str, str]]:
    """A training step of ResNet-18's size with and without a probe, alternating."""
    torch.manual_seed(0)
    widths = (3, 64, 128, 256, 512, 512)
    layers = [
        layer
        for a, b in itertools.pairwise(widths)
        for layer in (nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))
    ]
    model = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(1000)).cuda()
    x = torch.randn(128, 3, 32, 32, device="cuda")
    y = torch.randint(1000, (128,), device="cuda")
    model(x)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=True)

    def train() -> None:
        for _ in range(10):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    ratios, times = [], []
    for _ in range(10):
        bare = wall(train)
        probe = Probe(optimizer, lambda make: make)
        probed = wall(train)
        probe.detach()
        ratios.append(probed / bare)
        times.append(probed / 10)
    count = sum(p.numel() for p in model.parameters())
    took, ratio = statistics.median(times), statistics.median(ratios)
    return [(f"probed training step, {count:,}", f"{took * 1e3:.2f} ms", f"{ratio:.3f}x bare")]


def wall(work: Callable[[], None]) -> float:
    """Wall time of `work`, the device's included."""
    torch.cuda.synchronize()
    begin = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begin


if __name__ == "__main__":
    raise SystemExit(main())
