"""Tables of runs side by side: the settings in which they differ, and their latest values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from htga_client.wire import SCALARS, Run
from htga_client.wire.flat_config import flat

ABSENT = "\N{EN DASH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table: a name, and a text for each run."""

    name: str
    values: tuple[str, ...]


def differing(runs: Sequence[Run]) -> list[Row]:
    """The settings in which the runs differ, by name."""
    configs = [flat(run.config) for run in runs]
    rows = []
    for name in sorted({name for config in configs for name in config}):
        values = tuple(config.get(name, ABSENT) for config in configs)
        if len(set(values)) > 1:
            rows.append(Row(name=name, values=values))
    return rows


def keys_of(runs: Sequence[Run]) -> list[str]:
    """Every key that any of the runs has measured: scalars of the probe, then metrics by name."""
    found = {key for run in runs for key in run.summary}
    return [key for key in SCALARS if key in found] + sorted(found - SCALARS.keys())


def usual_keys(runs: Sequence[Run], limit: int = 6) -> list[str]:
    """The keys to draw by default: tail index, norm, and the most common metrics."""
    measured = keys_of(runs)
    metrics = [key for key in measured if key not in SCALARS]
    metrics.sort(key=lambda key: -sum(key in run.summary for run in runs))
    return [key for key in ("alpha_bar", "grad_norm") if key in measured] + metrics[: limit - 2]
