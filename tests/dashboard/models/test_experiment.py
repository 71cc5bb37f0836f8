from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest

from htga_client.wire import Run
from htga_dashboard.figures import forest, theme
from htga_dashboard.models.experiment import View, report, studies
from htga_dashboard.pages.experiments import tables
from tests.support.plotly import checked
from tests.support.series import run

draw = checked(forest.figure)

HOSTILE = "=cmd|<b onclick=alert(1)>\n"


def of(variant: str, seed: int, loss: float, **other: Any) -> Run:
    return run(
        id=f"{variant}-{seed}",
        config={"variant": variant, "seed": seed},
        metrics=("loss",),
        summary={"loss": loss},
        low={"loss": loss - 1},
        high={"loss": loss + 1},
        tags=("study:tails",),
        **{"state": "finished"} | other,
    )


RUNS = [
    *(of("sgd", seed, 1.0 + seed) for seed in range(5)),
    *(of("htga", seed, 0.5 + 1.1 * seed) for seed in range(3)),
]


def test_a_study_is_what_runs_have_in_a_tag() -> None:
    assert studies([run(tags=("x", "study:b")), run(tags=("study:a", "study:b"))]) == ["a", "b"]


def test_variants_are_compared_over_the_seeds_that_both_have() -> None:
    found = report(RUNS, View(study="tails", baseline="sgd"))
    htga, sgd = found.variants
    assert (htga.name, htga.pairs, htga.of) == ("htga", 3, 5)
    assert htga.difference is not None
    assert htga.difference.mean == pytest.approx(-0.4)
    assert htga.cells["loss"] is not None
    assert htga.cells["loss"].mean == pytest.approx(1.6)
    assert sgd.difference is None
    assert found.best == {"loss": "htga"}
    assert tables.row(htga, found)[1] == "3/5"


def test_without_a_variant_it_is_the_group_and_of_one_seed_the_newest_counts() -> None:
    runs = [
        run(id=str(at), group="g", config={"seed": 1}, metrics=("acc",), summary={"acc": at})
        for at in (3.0, 2.0)
    ]
    found = report(runs, View())
    (variant,) = found.variants
    assert (variant.name, variant.cells["acc"].mean) == ("g", 3.0)  # type: ignore[union-attr]
    assert (found.left_out, found.running, found.better) == (1, 2, "higher")


@pytest.mark.parametrize(("take", "mean"), [("last", 1.0), ("lowest", 0.0), ("highest", 2.0)])
def test_the_value_of_a_run_that_counts_is_chosen(take: Any, mean: float) -> None:
    (variant,) = report([of("a", 0, 1.0)], View(take=take)).variants
    assert variant.cells["loss"].mean == mean  # type: ignore[union-attr]


def test_a_run_that_came_to_nan_is_a_seed_that_is_missing() -> None:
    runs = [*RUNS[:5], of("htga", 0, math.nan), of("htga", 1, 1.0)]
    htga = report(runs, View(baseline="sgd")).variants[0]
    assert (htga.pairs, htga.cells["loss"].n) == (1, 1)  # type: ignore[union-attr]
    assert tables.format_interval(htga.difference).endswith("(n = 1)")


@pytest.mark.parametrize(
    "view",
    [View(), View(study="a b", metric="x&y", take="lowest", baseline="<b>", better="higher")],
)
def test_an_address_says_what_is_compared(view: View) -> None:
    assert View.from_query(view.to_query()) == view


def test_nonsense_in_an_address_is_ignored() -> None:
    assert View.from_query("?take=everything&better=worse&study=a") == View(study="a")


def test_a_hostile_name_is_text_in_every_file_and_in_the_plot() -> None:
    found = report([*RUNS, *(of(HOSTILE, seed, 2.0) for seed in range(3))], View(baseline="sgd"))
    lines = list(csv.reader(io.StringIO(tables.to_csv(found))))
    assert lines[1][0] == f"'{HOSTILE}"
    assert len(lines) == 4
    markdown = tables.to_markdown(found).splitlines()
    assert len(markdown) == 5
    assert {line.replace("\\|", "").count("|") for line in markdown} == {markdown[0].count("|")}
    drawn = json.dumps(draw(found, theme.LIGHT).to_plotly_json(), default=str)
    assert "<b onclick" not in drawn


def test_the_plot_has_a_row_for_each_variant_but_the_baseline() -> None:
    figure = draw(report(RUNS, View(baseline="sgd")), theme.DARK)
    assert figure.layout.yaxis.ticktext == ("htga",)
    assert list(figure.data[0].x) == [pytest.approx(-0.4)]
