"""The same steps through one tracker, in its own environment; prints what they cost as JSON.

workload.py cost TRACKER FOLDER scalars|histogram STEPS SECONDS
workload.py forever TRACKER FOLDER RATE     prints each step that was logged, until it is killed
workload.py stored TRACKER FOLDER           prints how many steps can be read back
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from trackers import BINS, TRACKERS

TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Do what the command line says."""
    what, tracker, folder, *rest = sys.argv[1:]
    kind = TRACKERS[tracker]
    if what == "cost":
        print(json.dumps(cost(kind, Path(folder), rest[0] == "histogram", *map(int, rest[1:]))))
    elif what == "forever":
        run = kind(Path(folder))
        print("begun", flush=True)
        for step, (metrics, _) in enumerate(steps()):
            run.log(step, metrics, None)
            print(step, flush=True)
            time.sleep(1 / float(rest[0]))
    else:
        print(kind.stored(Path(folder)))
    sys.stdout.flush()
    os._exit(0)  # some keep threads that would hold up the end


def cost(kind: type, folder: Path, histogram: bool, most: int, seconds: int) -> dict[str, float]:
    """Log up to so many steps for up to so many seconds, back to back."""
    run, made = kind(folder), steps()
    run.log(0, *next(made))  # the first call may set things up
    time.sleep(1)
    size, cpu = bytes_in(folder), cpu_seconds()
    calls = []
    begin = time.perf_counter()
    for step, (metrics, counts) in enumerate(made, 1):
        before = time.perf_counter_ns()
        run.log(step, metrics, counts if histogram else None)
        calls.append((time.perf_counter_ns() - before) / 1e3)
        if step == most or time.perf_counter() - begin > seconds:
            break
    run.end()
    took = time.perf_counter() - begin
    calls.sort()
    return {
        "steps": len(calls),
        "median_us": calls[len(calls) // 2],
        "p999_us": calls[len(calls) * 999 // 1000],
        "steps_per_s": len(calls) / took,
        "cpu_us": (cpu_seconds() - cpu) / len(calls) * 1e6,
        "bytes": (bytes_in(folder) - size) / len(calls),
    }


def steps() -> Iterator[tuple[dict[str, float], list[int]]]:
    """Eight numbers and the counts of a histogram, for ever; made beforehand, since that costs."""
    generator = random.Random(0)  # noqa: S311  reproducible, not secret
    made = [
        (
            {f"m{i}": generator.random() for i in range(8)},
            [generator.randrange(2000) for _ in range(BINS)],
        )
        for _ in range(100)
    ]
    return itertools.cycle(made)


def cpu_seconds() -> float:
    """CPU time of this process, of those it has waited for, and of all that live below it."""
    below, todo, total = 0.0, [os.getpid()], sum(os.times()[:4])
    while todo:
        pid = todo.pop()
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            todo += [int(child) for child in task.read_text().split()]
        if pid != os.getpid():
            said = Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()
            below += sum(map(int, said[11:15]))
    return total + below / TICK


def bytes_in(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
