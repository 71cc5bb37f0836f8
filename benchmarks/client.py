"""The cost of the client to a process, and its losses when the process is killed.

* `run.log` of eight scalars on the training thread, paired with an empty call: flat out, and once
  in 100 us, as a fast loop would call it.
* Resident memory above that of the same process without a run.
* Seconds that the end of a script takes with the collector gone.
* Steps lost at `kill -9`, at 100 steps a second with one row each.
* Milliseconds to import `htga_client`.

The collector is a process of its own, as in real use, and shares the cores.
"""

from __future__ import annotations

import gc
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable

from machine import describe

CALLS, ROUNDS, KILLS, STARTS = 20_000, 5, 20, 7

LOGGING = """
    import sys, resource, time
    from pathlib import Path
    from htga_client import wire
    from htga_client.http.transport import HttpTransport
    from htga_client.run_ids import uuid7
    from htga_client.sender.sender import Sender

    def rss():
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    bare = rss()
    url, folder, rate, seconds = sys.argv[1], Path(sys.argv[2]), *map(float, sys.argv[3:5])
    run = wire.NewRun(id=str(uuid7()), project="benchmark", name="client")
    sender = Sender(HttpTransport(url), run, folder=folder)
    print(run.id, flush=True)
    peak, step, end = 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        sender.put({"step": step, "time": time.time(), "metrics": {f"m{i}": 1.0 for i in range(8)}})
        sys.stdout.write(f"{step}\\n")
        sys.stdout.flush()
        step += 1
        if step % 100 == 0:
            peak = max(peak, rss())
        time.sleep(1 / rate)
    print("rss", max(peak, rss()) - bare, flush=True)
    print("end", time.time(), flush=True)
"""


def main() -> None:
    """Measure, and print a table."""
    print(f"{describe()}\n")
    print("| measured | value | budget |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as data:
        command = ["-m", "htga.cli.main", "up", "--port", "0", "--no-dashboard", "--data", data]
        with subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, text=True
        ) as server:
            url = server.stdout.readline().split()[3] if server.stdout else ""
            try:
                log_time(url, interval=0.0)
                log_time(url, interval=1e-4)
                memory(url)
                lost_steps(url)
            finally:
                server.terminate()
    exit_delay()
    import_time()


def log_time(url: str, *, interval: float) -> None:
    """Microseconds of one call, the median of `ROUNDS` rounds of `CALLS` calls."""
    from torch import nn, optim  # noqa: PLC0415  the other figures are of processes without torch

    from htga import telemetry  # noqa: PLC0415

    values = {f"metric {i}": float(i) for i in range(8)}
    with tempfile.TemporaryDirectory() as folder:
        run = telemetry.attach(
            optim.SGD([nn.Parameter()], lr=0.1), url=url, project="benchmark", dir=folder
        )
        rounds = []
        for _ in range(ROUNDS):
            empty = times(lambda _: None, interval)
            rounds.append((empty, times(lambda i: run.log(values, step=i), interval)))
            run.flush(60)  # or the queue would fill, and dropping a row costs something else
        run.finish(timeout=60)
        assert run.stats.acked == ROUNDS * CALLS
    floors, costs = zip(*rounds, strict=True)
    name = "flat out" if not interval else f"once in {interval * 1e6:.0f} us"
    for label, quantile, budget in (("median", 0.5, 2), ("p99.9", 0.999, 50)):
        at = int(CALLS * quantile)
        cost = statistics.median(calls[at] for calls in costs)
        floor = statistics.median(calls[at] for calls in floors)
        what = f"`run.log` of 8 scalars, {label}, {name}"
        print(f"| {what} | {cost:.2f} us (an empty call {floor:.2f}) | {budget} us |", flush=True)


def times(call: Callable[[int], None], interval: float) -> list[float]:
    """Microseconds of each call, sorted."""
    found = []
    gc.collect()
    gc.disable()
    for i in range(CALLS):
        begin = time.perf_counter_ns()
        call(i)
        end = time.perf_counter_ns()
        found.append((end - begin) / 1e3)
        while interval and time.perf_counter_ns() - end < interval * 1e9:
            pass
    gc.enable()
    return sorted(found)


def memory(url: str) -> None:
    """Resident memory that a run adds to a process, at 1000 rows a second."""
    with tempfile.TemporaryDirectory() as folder:
        said = logging_process(url, folder, rate=1000, seconds=10).communicate()[0].splitlines()
    (rss,) = (line.split()[1] for line in said if line.startswith("rss"))
    print(f"| resident memory above bare | {int(rss) / 2**20:.0f} MiB | 64 MiB |", flush=True)


def lost_steps(url: str) -> None:
    """Steps that were put before a `kill -9` and are stored nowhere after it."""
    from htga_client import Client  # noqa: PLC0415  its import is measured elsewhere

    lost = []
    generator = random.Random(0)  # noqa: S311  reproducible, not secret
    for _ in range(KILLS):
        with tempfile.TemporaryDirectory() as folder:
            process = logging_process(url, folder, rate=100, seconds=60)
            assert process.stdout is not None
            run_id = process.stdout.readline().strip()
            time.sleep(generator.uniform(0.5, 1.5))
            process.send_signal(signal.SIGKILL)
            put = len(process.communicate()[0].splitlines())
            sync = ["-m", "htga.cli.main", "sync", "--dir", folder, "--url", url]
            subprocess.run([sys.executable, *sync], check=True, capture_output=True)
            with Client(url) as client:
                stored = client.series(run_id, ["m0"], buckets=20_000)["step"].to_pylist()
            assert stored == list(range(len(stored)))
            lost.append(put - len(stored))
    print(f"| steps lost at kill -9, mean of {KILLS} | {statistics.mean(lost):.1f} | |")
    print(f"| steps lost at kill -9, maximum of {KILLS} | {max(lost)} | 2 |", flush=True)


def exit_delay() -> None:
    """Seconds from the last line of a script to its end, with no collector on the port."""
    with tempfile.TemporaryDirectory() as folder:
        process = logging_process("http://127.0.0.1:9", folder, rate=100, seconds=1)
        said = process.communicate()[0].splitlines()
        ended = time.time()
    (end,) = (float(line.split()[1]) for line in said if line.startswith("end"))
    print(f"| end of a script with the collector gone | {ended - end:.1f} s | 6 s |", flush=True)


def import_time() -> None:
    """Milliseconds that `import htga_client`, and what `attach` needs of it, add to Python."""

    def run(code: str) -> float:
        took = []
        for _ in range(STARTS):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            took.append(time.perf_counter() - begin)
        return min(took) * 1e3

    bare = run("")
    for code, budget in (
        ("import htga_client", "150 ms"),
        ("import htga_client.sender.sender, htga_client.http.transport", ""),
    ):
        print(f"| `{code}` | {run(code) - bare:.0f} ms | {budget} |", flush=True)


def logging_process(url: str, folder: str, *, rate: float, seconds: float) -> subprocess.Popen[str]:
    """A process that puts rows at a rate and prints the step of each; first the run's id."""
    arguments = [url, folder, str(rate), str(seconds)]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LOGGING), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


if __name__ == "__main__":
    main()
