"""What a page of comparison shows, as its address says it.

The address is all there is: whoever gets it sees the same, and the browser's back button works.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args
from urllib.parse import parse_qs, urlencode

from htga_client.wire import Axis

Band = Literal["sd", "t95", "range", "none"]

MOST = 50
"""Runs compared at most: more lines than that cannot be told apart."""

MAX_SMOOTHING = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Which runs are compared, and how.

    Attributes:
        runs: Their ids, in the order of their colours.
        keys: What is drawn, one chart each; none means those that all runs have.
        x: Steps, the time of day, or seconds since a run's first step.
        smoothing: Weight of the past in the lines, from 0 to 0.99.
        log: Whether the axes of values are logarithmic.
        group: Settings whose equal values put runs into one line; "group" is the run's own.
        band: What is drawn around the mean of a group: the standard deviation, a 95 % interval of
            the mean, everything from minimum to maximum, or nothing.
    """

    runs: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    x: Axis = "step"
    smoothing: float = 0.0
    log: bool = False
    group: tuple[str, ...] = ()
    band: Band = "sd"

    @classmethod
    def from_query(cls, query: str) -> Self:
        """What an address says after its "?"; what it says wrongly is as if it were not there."""
        said = parse_qs(query.lstrip("?"))
        first = {name: values[0] for name, values in said.items()}
        runs = [run for run in first.get("runs", "").split(",") if run]
        return cls(
            runs=tuple(dict.fromkeys(runs)),
            keys=tuple(dict.fromkeys(said.get("key", []))),
            x=_one_of(Axis, first.get("x"), "step"),
            smoothing=_number(first.get("smooth")),
            log=first.get("log") == "1",
            group=tuple(dict.fromkeys(said.get("by", []))),
            band=_one_of(Band, first.get("band"), "sd"),
        )

    def to_query(self) -> str:
        """The shortest address that says this, from its "?" on."""
        said: list[tuple[str, str]] = [("runs", ",".join(self.runs))] if self.runs else []
        said += [("key", key) for key in self.keys]
        said += [("by", name) for name in self.group]
        for name, value, default in (
            ("x", self.x, "step"),
            ("smooth", f"{self.smoothing:g}", "0"),
            ("log", "1" if self.log else "0", "0"),
            ("band", self.band, "sd"),
        ):
            if value != default:
                said.append((name, value))
        return f"?{urlencode(said, safe=',')}" if said else ""


def _one_of(kind: Any, value: str | None, default: Any) -> Any:
    return value if value in get_args(kind) else default


def _number(value: str | None) -> float:
    try:
        number = float(value or 0)
    except ValueError:
        return 0.0
    return 0.0 if math.isnan(number) else min(max(number, 0.0), MAX_SMOOTHING)
