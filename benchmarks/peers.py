"""Trackers side by side: what a step costs, where it goes, and what a killed process loses.

Eight numbers a step, with and without a histogram of 128 bins, back to back; then 100 steps a
second and `kill -9`; then a training whose gradients are watched at every step, by those that can.
Each tracker is installed into an environment of its own, in the folder that
HTGA_PEERS names or the cache, and set up as on one machine (`peer_trackers/trackers.py`). HTGA's
costs are those of client and collector together; the trackers take turns, in rounds.

python benchmarks/peers.py [TRACKER ...]
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from machine import describe

PINNED = {
    "trackio": ["trackio==0.43.0"],
    "wandb": ["wandb==0.31.0"],
    "tensorboard": ["tensorboardX==2.6.5", "tensorboard==2.21.0"],
    "aim": ["aim==3.29.1"],
    "mlflow": ["mlflow==3.17.2"],
}
WATCHES = {
    "htga": "htga",
    "htga, each layer": "htga",
    "htga, all entries": "htga",
    "htga, all entries of each layer": "htga",
    "wandb": "wandb",
    "tensorboard": "tensorboard",
}
"""Ways to watch a gradient, and whose they are; what is not here has none."""

TORCH = version("torch").partition("+")[0]
ROUNDS, STEPS, SECONDS, KILLS = 3, 5000, 8, 5
SCRIPTS = Path(__file__).with_name("peer_trackers")
WORKLOAD, GRADIENTS = SCRIPTS / "workload.py", SCRIPTS / "gradients.py"


def main() -> None:
    """Install what is missing, measure, and print four tables."""
    names = sys.argv[1:] or list(PINNED)
    pythons = {"htga": sys.executable} | {name: installed(name) for name in names}
    versions = ", ".join(package for name in names for package in PINNED[name])
    print(f"{describe()}; {versions}", flush=True)
    for kind in ("scalars", "histogram"):
        found: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
        for _ in range(ROUNDS):
            for name, python in pythons.items():
                found[name].append(cost(name, python, kind))
        print_costs(kind, {name: middle(rounds) for name, rounds in found.items()})
    print("\n| steps lost at `kill -9`, 100 a second | each kill |\n|---|---|")
    for name, python in pythons.items():
        each = [str(lost(name, python)) for _ in range(KILLS)]
        print(f"| {name} | {', '.join(each)} |", flush=True)
    print("\n| gradients of 2.1 million parameters | step time |\n|---|---|")
    for way, name in WATCHES.items():
        if name in pythons:
            own = watching(way, pythons[name])
            ratio = f"x {own['ratio']:.3f} ({own['low']:.3f} to {own['high']:.3f})"
            print(f"| {way} | {ratio} |", flush=True)


def print_costs(kind: str, costs: dict[str, dict[str, float]]) -> None:
    """A row for each tracker; in brackets how many times ours."""
    print(f"\n| {kind} | call, median us | p99.9 us | CPU us | bytes | stored/s | steps |")
    print("|---|---|---|---|---|---|---|")
    ours = costs["htga"]
    for name, own in costs.items():
        cells = []
        for key in ("median_us", "p999_us", "cpu_us", "bytes"):
            times = "" if name == "htga" else f" ({own[key] / ours[key]:.1f})"
            cells.append(f"{own[key]:,.4g}{times}")
        cells += [f"{own['steps_per_s']:,.0f}", f"{own['steps']:,.0f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def middle(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each number."""
    return {key: statistics.median(found[key] for found in rounds) for key in rounds[0]}


def cost(name: str, python: str, kind: str) -> dict[str, float]:
    """What one run of the workload cost."""
    with place(name) as (folder, environment, collector):
        before = None if collector is None else spent(collector)
        arguments = ("cost", name, folder, kind, STEPS, SECONDS)
        found: dict[str, float] = json.loads(run(python, environment, WORKLOAD, *arguments))
        if collector is not None and before is not None:
            cpu, size = (now - then for now, then in zip(spent(collector), before, strict=True))
            found["cpu_us"] += cpu / found["steps"] * 1e6
            found["bytes"] = size / found["steps"]  # the spool is empty by then
    return found


def watching(way: str, python: str) -> dict[str, float]:
    """What it costs a training to have its gradients watched."""
    with place(WATCHES[way]) as (folder, environment, _):
        path = {"PYTHONPATH": str(SCRIPTS.parent)}
        found: dict[str, float] = json.loads(
            run(python, environment | path, GRADIENTS, way, folder)
        )
    return found


def lost(name: str, python: str) -> int:
    """Steps that were logged before a kill and cannot be read after it."""
    with place(name) as (folder, environment, _):
        arguments = [python, str(WORKLOAD), "forever", name, str(folder), "100"]
        process = subprocess.Popen(
            arguments,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        while process.stdout.readline().strip() != "begun":
            assert process.poll() is None, f"{name} did not begin"
        time.sleep(random.uniform(2, 3))  # noqa: S311  no secret
        process.send_signal(signal.SIGKILL)
        logged = len(process.communicate()[0].splitlines())
        return logged - int(run(python, environment, WORKLOAD, "stored", name, folder))


def run(python: str, environment: dict[str, str], script: Path, *arguments: Any) -> str:
    """The last line that a script prints."""
    done = subprocess.run(
        [python, str(script), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{arguments[:2]} failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]


@contextmanager
def place(name: str) -> Iterator[tuple[Path, dict[str, str], tuple[psutil.Process, Path] | None]]:
    """A folder for a run, its environment, and for HTGA a collector and its data."""
    with tempfile.TemporaryDirectory() as parent:
        folder, data = Path(parent) / "run", Path(parent) / "data"
        folder.mkdir()
        if name != "htga":
            yield folder, dict(os.environ), None
            return
        command = [
            "-m",
            "htga.cli.main",
            "up",
            "--port",
            "0",
            "--no-dashboard",
            "--data",
            str(data),
        ]
        with subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, text=True
        ) as server:
            url = server.stdout.readline().split()[3] if server.stdout else ""
            try:
                yield folder, os.environ | {"HTGA_URL": url}, (psutil.Process(server.pid), data)
            finally:
                server.terminate()


def spent(collector: tuple[psutil.Process, Path]) -> tuple[float, int]:
    """CPU seconds of a collector so far, and the bytes of its data."""
    times = collector[0].cpu_times()
    files = [path for path in collector[1].rglob("*") if path.is_file()]
    return times.user + times.system, sum(path.stat().st_size for path in files)


def installed(name: str) -> str:
    """The Python of a tracker's environment, which is made if it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "htga" / "peers"
    packages = PINNED[name] + ([f"torch=={TORCH}"] if name in WATCHES.values() else [])
    folder = Path(os.environ.get("HTGA_PEERS", cache)) / "-".join(packages)
    python = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        print(f"installing {name} into {folder}", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *packages], check=True)
        (folder / ".installed").touch()
    return str(python)


if __name__ == "__main__":
    main()
