"""A study: runs of several variants over several seeds, and how the variants compare.

The tag `study:<name>` makes a run part of a study. Its variant is the setting `variant`, or else
its group; its seed is the setting `seed`. Variants are compared seed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args
from urllib.parse import parse_qs, urlencode

from htga_client.statistics.paired_tests import Interval, holm, interval
from htga_client.wire import Run
from htga_client.wire.flat_config import NONE, flat

TAG = "study:"

Take = Literal["last", "lowest", "highest"]
Better = Literal["higher", "lower"]

HIGHER = ("acc", "auc", "f1", "score", "reward", "precision", "recall")
"""Parts of names of metrics for which higher is better; for all others, lower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The state of the page of a study, as its query says.

    Attributes:
        study: Name of the study.
        metric: The metric to compare; empty for the first.
        take: Which value of a run counts.
        baseline: The variant to compare with; empty for the first.
        better: Which direction is better; None to go by the metric's name.
    """

    study: str = ""
    metric: str = ""
    take: Take = "last"
    baseline: str = ""
    better: Better | None = None

    @classmethod
    def from_query(cls, query: str) -> Self:
        """Parse the query of an address; invalid parts are ignored."""
        params = {name: values[0] for name, values in parse_qs(query.lstrip("?")).items()}
        takes: tuple[Take, ...] = get_args(Take)
        take: Take = next((one for one in takes if one == params.get("take")), "last")
        better = next((one for one in get_args(Better) if one == params.get("better")), None)
        words = {name: params.get(name, "") for name in ("study", "metric", "baseline")}
        return cls(**words, take=take, better=better)

    def to_query(self) -> str:
        """The query, with its "?", that stands for this view."""
        params = {
            "study": self.study,
            "metric": self.metric,
            "take": "" if self.take == "last" else self.take,
            "baseline": self.baseline,
            "better": self.better or "",
        }
        return f"?{urlencode({name: value for name, value in params.items() if value})}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A row of the table.

    Attributes:
        name: Name of the variant.
        runs: Its runs by seed; the newer one of two with the same seed.
        cells: Mean and interval by metric; None where no run has a finite value.
        difference: Difference to the baseline over the seeds that both have; None for the baseline.
        p: P-value of no difference, adjusted for the number of variants; see `paired_tests.holm`.
        pairs: Number of seeds in the difference.
        of: Number of seeds of the study.
    """

    name: str
    runs: dict[str, Run]
    cells: dict[str, Interval | None]
    difference: Interval | None
    p: float | None
    pairs: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The results of a study.

    Attributes:
        metrics: The columns of the table.
        metric, baseline, better: The comparison; see `View`.
        variants: The rows, by name.
        best: The variant with the best mean, by user metric.
        running: Number of runs that still train; their present values count.
        left_out: Number of runs replaced by a newer one of the same variant and seed.
    """

    metrics: list[str]
    metric: str
    baseline: str
    better: Better
    variants: list[Variant]
    best: dict[str, str]
    running: int
    left_out: int


def studies(runs: Sequence[Run]) -> list[str]:
    """The names of the studies that `runs` belong to."""
    return sorted(
        {tag.removeprefix(TAG) for run in runs for tag in run.tags if tag.startswith(TAG)}
    )


def report(runs: Sequence[Run], view: View) -> Report:
    """Compare the variants of one study.

    Args:
        runs: Runs of the study, the newest first.
        view: The metric, baseline and direction.
    """
    by_variant: dict[str, dict[str, Run]] = {}
    for run in runs:
        variant, seed = _place(run)
        by_variant.setdefault(variant, {}).setdefault(seed, run)
    metrics = sorted({name for run in runs for name in run.metrics})
    columns = metrics + ["alpha_bar"] * any("alpha_bar" in run.summary for run in runs)
    metric = view.metric if view.metric in columns else next(iter(columns), "")
    baseline = view.baseline if view.baseline in by_variant else next(iter(sorted(by_variant)), "")
    seeds = {seed for members in by_variant.values() for seed in members}
    names = sorted(by_variant)
    found = {
        name: _differences(by_variant[name], by_variant[baseline], metric, view.take)
        for name in names
    }
    compared = {name: interval(values) for name, values in found.items() if name != baseline}
    ps = [one.p if (one := compared.get(name)) else None for name in names]
    variants = [
        Variant(
            name=name,
            runs=by_variant[name],
            cells={key: interval(_values(by_variant[name], key, view.take)) for key in columns},
            difference=compared.get(name),
            p=p,
            pairs=len(found[name]),
            of=len(seeds),
        )
        for name, p in zip(names, holm(ps), strict=True)
    ]
    better = view.better or direction(metric)
    best = {
        key: winner
        for key in metrics
        if (winner := _best(variants, key, better if key == metric else direction(key)))
    }
    return Report(
        metrics=columns,
        metric=metric,
        baseline=baseline,
        better=better,
        variants=variants,
        best=best,
        running=sum(run.state == "running" for run in runs),
        left_out=len(runs) - sum(len(members) for members in by_variant.values()),
    )


def direction(metric: str) -> Better:
    """Which values of a metric are better, by its name."""
    return "higher" if any(part in metric.lower() for part in HIGHER) else "lower"


def _place(run: Run) -> tuple[str, str]:
    settings = flat(run.config)
    return settings.get("variant") or run.group or NONE, settings.get("seed", run.id)


def _value(run: Run, key: str, take: Take) -> float | None:
    found = {"last": run.summary, "lowest": run.low, "highest": run.high}[take].get(key)
    return found if found is not None and math.isfinite(found) else None


def _values(runs: dict[str, Run], key: str, take: Take) -> list[float]:
    found = (_value(run, key, take) for run in runs.values())
    return [value for value in found if value is not None]


def _differences(
    runs: dict[str, Run], baseline: dict[str, Run], key: str, take: Take
) -> list[float]:
    found = []
    for seed, run in runs.items():
        if seed not in baseline:
            continue
        mine, theirs = _value(run, key, take), _value(baseline[seed], key, take)
        if mine is not None and theirs is not None:
            found.append(mine - theirs)
    return found


def _best(variants: Sequence[Variant], key: str, better: Better) -> str | None:
    means = {v.name: cell.mean for v in variants if (cell := v.cells[key]) is not None}
    if len(means) < 2:
        return None
    return (max if better == "higher" else min)(means, key=means.__getitem__)
