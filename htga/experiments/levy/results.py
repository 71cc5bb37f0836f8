"""Results as rows for tables and files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from htga.experiments.levy.control import Escape
from htga.experiments.levy.point import Measured, Verdict

Row = dict[str, Any]


def point_row(experiment: str, measured: Measured) -> Row:
    """A simulated exit time."""
    point, time = measured.point, measured.time
    return {
        "experiment": experiment,
        "curve": point.curve,
        "x": point.x,
        "mean": time.mean,
        "stderr": time.stderr,
        "exits": time.exits,
        "law": point.expected,
    }


def verdict_row(verdict: Verdict) -> Row:
    """A verdict, with whether it holds."""
    return asdict(verdict) | {"holds": verdict.holds}


def escape_row(escape: Escape) -> Row:
    """The result of one control."""
    return asdict(escape) | {
        "width_exponent": escape.width_exponent,
        "width_exponent_stderr": escape.width_exponent_stderr,
        "balance": escape.balance,
        "balance_stderr": escape.balance_stderr,
    }


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A table with a header; numbers with six digits, which is more than simulation knows."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: short(value) for key, value in row.items()} for row in rows)


def short(value: Any) -> Any:
    """A float in six digits."""
    return f"{value:.6g}" if isinstance(value, float) else value
