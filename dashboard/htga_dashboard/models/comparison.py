"""The state of the page that compares runs, which is kept in its query alone.

The same address therefore always shows the same, and the browser's back button works.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args
from urllib.parse import parse_qs, urlencode

from htga_client.wire import Axis

Band = Literal["sd", "t95", "range", "none"]

MAX_RUNS = 50
"""With more runs the lines could not be told apart."""

MAX_SMOOTHING = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The runs to compare, and how to show them.

    Attributes:
        runs: Ids, in the order of the colours.
        keys: Keys to draw, one chart each; empty for the usual ones.
        x: The x axis: steps, time of day, or seconds since a run's first step.
        smoothing: Weight of the past in the lines, from 0 to 0.99.
        log: Whether the y axes are logarithmic.
        group: Settings by which runs are grouped into one line; "group" is the run's group.
        band: The band around the mean of a group: the standard deviation, a 95 % interval of the
            mean, minimum to maximum, or nothing.
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
        """Parse the query of an address; invalid parts are ignored."""
        params = parse_qs(query.lstrip("?"))
        first = {name: values[0] for name, values in params.items()}
        runs = [run for run in first.get("runs", "").split(",") if run]
        return cls(
            runs=tuple(dict.fromkeys(runs)),
            keys=tuple(dict.fromkeys(params.get("key", []))),
            x=_one_of(Axis, first.get("x"), "step"),
            smoothing=_number(first.get("smooth")),
            log=first.get("log") == "1",
            group=tuple(dict.fromkeys(params.get("by", []))),
            band=_one_of(Band, first.get("band"), "sd"),
        )

    def to_query(self) -> str:
        """The shortest query, with its "?", that stands for this comparison."""
        params: list[tuple[str, str]] = [("runs", ",".join(self.runs))] if self.runs else []
        params += [("key", key) for key in self.keys]
        params += [("by", name) for name in self.group]
        for name, value, default in (
            ("x", self.x, "step"),
            ("smooth", f"{self.smoothing:g}", "0"),
            ("log", "1" if self.log else "0", "0"),
            ("band", self.band, "sd"),
        ):
            if value != default:
                params.append((name, value))
        return f"?{urlencode(params, safe=',')}" if params else ""


def _one_of(kind: Any, value: str | None, default: Any) -> Any:
    return value if value in get_args(kind) else default


def _number(value: str | None) -> float:
    try:
        number = float(value or 0)
    except ValueError:
        return 0.0
    return 0.0 if math.isnan(number) else min(max(number, 0.0), MAX_SMOOTHING)
