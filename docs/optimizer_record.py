"""Measure what HTGA's presets do, and print the table of docs/optimizer.md.

    python docs/optimizer_record.py              # measure what is not yet in docs/results, print
    python docs/optimizer_record.py --tables     # print alone

Learning rates are tuned on validation losses of eight seeds (characters: one), on a grid that grows
until the best is not at an edge, and tested once on 16 other seeds (characters: 5). All trainings
of digits are replicas that train at once; where noise is injected, "HTGA itself" repeats the test
with the optimizer itself, as it is with characters always. docs/results/optimizer/tables.md has all
numbers. Delete that folder to measure anew; what an interrupted run has finished is kept.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from htga.experiments import record
from htga.experiments.comparison import Comparison, compare
from htga.experiments.methods import Method
from htga.experiments.tasks import TASKS, Task
from htga_client.statistics.paired_tests import holm

RESULTS = Path(__file__).parent / "results" / "optimizer"
TESTS, SEARCHES, TABLES = (RESULTS / name for name in ("tests.csv", "searches.csv", "tables.md"))

REAL = (
    Method("SGD"),
    Method("SGD", clips=True),
    Method("SGD", settings={"preset": "guard"}),
    Method("SGD", clips=True, settings={"preset": "guard"}),
    Method("SGD", clips=True, settings={"preset": "temper"}),
)
"""What is tested with the optimizer itself where the noise is heavy."""

ENGINES = ("replicas", "HTGA itself")
SIGNIFICANT = 0.05

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """One method on one task, tested by one engine, against what it wraps."""

    task: str
    method: str
    engine: str
    rows: list[Row]
    rate: str
    interior: bool
    loss: Comparison | None
    accuracy: Comparison | None


def main() -> None:
    """Measure what is missing, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--tables", action="store_true", help="print what was measured before")
    parser.add_argument("--task", action="append", choices=[*TASKS], help="this task alone")
    arguments = parser.parse_args()
    if not arguments.tables:
        warnings.filterwarnings("ignore", message="normalize='none'")
        RESULTS.mkdir(parents=True, exist_ok=True)
        wanted = [task for task in TASKS.values() if task.name in (arguments.task or TASKS)]
        for task in wanted:
            measure(task, [(method, not task.small) for method in record.methods_for(task)])
        for task in wanted:
            if task.noise is not None:
                measure(task, [(method, True) for method in REAL])
    TABLES.write_text(tables(), encoding="utf-8")
    print(summary())


def measure(task: Task, plan: list[tuple[Method, bool]]) -> None:
    """Tune and test methods on a task, by the optimizer itself or by replicas, if not yet done."""
    for i, (method, real) in enumerate(plan):
        began = time.perf_counter()
        searched = {row["method"]: row for row in read(SEARCHES) if row["task"] == task.name}
        if method.name not in searched:
            choice = record.tuned(task, method)
            for lr, loss in choice.losses.items():
                chosen = {"chosen": lr == choice.rate, "interior": choice.interior}
                write(SEARCHES, key(task, method) | {"lr": lr, "val_loss": loss} | chosen)
        lr = next(
            float(row["lr"])
            for row in read(SEARCHES)
            if (row["task"], row["method"]) == (task.name, method.name) and row["chosen"] == "True"
        )
        engine = {"engine": ENGINES[real]}
        names = key(task, method) | engine
        if not any(names.items() <= row.items() for row in read(TESTS)):
            for outcome in record.tested(task, method, lr, real=real):
                write(TESTS, names | asdict(outcome))
        took = time.perf_counter() - began
        done = f"{task.name}: {i + 1} of {len(plan)}, {method.name}, lr {lr:g}, {took:.0f} s"
        print(done, flush=True)


def key(task: Task, method: Method) -> dict[str, Any]:
    """The columns that name a row."""
    return {"task": task.name, "method": method.name}


def read(path: Path) -> list[Row]:
    """All rows of a file, or none."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, row: dict[str, Any]) -> None:
    """Append a row."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def lines(task: Task) -> Iterator[Line]:
    """What was measured on a task, in the order of the methods."""
    tests = [row for row in read(TESTS) if row["task"] == task.name]
    searches = [row for row in read(SEARCHES) if row["task"] == task.name]
    for engine in ENGINES:
        for method in record.methods_for(task):
            rows, base = (
                [row for row in tests if (row["method"], row["engine"]) == (name, engine)]
                for name in (method.name, method.alone.name)
            )
            if not rows:
                continue
            chosen = next(
                row for row in searches if row["method"] == method.name and row["chosen"] == "True"
            )
            pairs = method.settings is not None and len(base) == len(rows)
            yield Line(
                task.name,
                method.name,
                engine,
                rows,
                f"{float(chosen['lr']):g}",
                chosen["interior"] == "True",
                differences(rows, base, "test_loss") if pairs else None,
                differences(rows, base, "test_accuracy") if pairs else None,
            )


def differences(rows: list[Row], base: list[Row], column: str) -> Comparison:
    """Compare a column of two methods, seed by seed."""
    by_seed = {row["seed"]: float(row[column]) for row in base}
    return compare([float(r[column]) for r in rows], [by_seed[r["seed"]] for r in rows])


HEAD = """\
| method | n | lr | acts | test loss | accuracy % | loss against its base | Holm p | sign flip p \
| accuracy against its base |
|---|---|---|---|---|---|---|---|---|---|"""


def tables() -> str:
    """A table for each task and engine, Holm's correction over what is compared in it."""
    text = []
    for name, task in TASKS.items():
        for engine in ENGINES:
            found = adjusted(task, engine)
            if found:
                text += [f"## {name}: {engine}", "", HEAD]
                text += [*(shown(line, p) for line, p in found), ""]
    return "\n".join(text)


def summary() -> str:
    """What each preset does to the test loss of what it wraps, a column for each task."""
    by_task = {
        name: {line.method: (line, p) for line, p in adjusted(task, first_engine(task))}
        for name, task in TASKS.items()
    }
    rows = [f"| | {' | '.join(by_task)} |", "|---" * (len(by_task) + 1) + "|"]
    for method in dict.fromkeys(name for found in by_task.values() for name in found):
        cells = [cell(*found[method]) if method in found else "" for found in by_task.values()]
        rows.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(rows)


def cell(line: Line, holm_p: float | None) -> str:
    """The mean loss of a base, and how far a preset is from it."""
    if line.loss is None or holm_p is None:
        return f"{fmean(float(row['test_loss']) for row in line.rows):.3f}"
    if line.loss.same:
        return "the same"
    strong = "**" if holm_p < SIGNIFICANT else ""
    return f"{strong}{difference(line.loss.mean)}{strong}, {p_shown(holm_p)}"


def first_engine(task: Task) -> str:
    """What tests every method of a task."""
    return ENGINES[0] if task.small else ENGINES[1]


def adjusted(task: Task, engine: str) -> list[tuple[Line, float | None]]:
    """Lines with p-values adjusted for their number."""
    found = [line for line in lines(task) if line.engine == engine]
    return list(zip(found, holm([line.loss and line.loss.p for line in found]), strict=True))


def shown(line: Line, holm_p: float | None) -> str:
    """One row of a table."""
    losses = [float(row["test_loss"]) for row in line.rows]
    accuracies = [100 * float(row["test_accuracy"]) for row in line.rows]
    acted = fmean(float(row["acted"]) for row in line.rows)
    cells = [
        line.method,
        str(len(line.rows)),
        line.rate + ("" if line.interior else " (edge)"),
        "" if math.isnan(acted) else f"{100 * acted:.0f} %",
        f"{fmean(losses):.3f} ± {stdev(losses):.3f}",
        f"{fmean(accuracies):.2f} ± {stdev(accuracies):.2f}",
    ]
    loss, accuracy = line.loss, line.accuracy
    if loss is None or accuracy is None or holm_p is None:
        cells += [""] * 4
    elif loss.same:
        cells += ["the same", "", "", "the same"]
    else:
        cells += [
            f"{difference(loss.mean)} [{difference(loss.low)}, {difference(loss.high)}]",
            p_shown(holm_p),
            p_shown(loss.p_sign_flip),
            f"{100 * accuracy.mean:+.2f} [{100 * accuracy.low:+.2f}, {100 * accuracy.high:+.2f}]",
        ]
    return f"| {' | '.join(cells)} |"


def difference(loss: float) -> str:
    """With its sign, which nothing has none of."""
    return f"{loss:+.3f}" if abs(loss) >= 0.0005 else "0.000"


def p_shown(p: float) -> str:
    """A p-value to one figure that counts."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


if __name__ == "__main__":
    main()
