from __future__ import annotations

from dataclasses import replace
from typing import Any

from htga_client.wire import Estimator, Run, Scope, TailSeries
from htga_dashboard.figures import theme
from htga_dashboard.models.alpha_sample import differences
from htga_dashboard.pages.compare.load import INDEX, ComparisonData, index_figure
from htga_dashboard.pages.compare.page import INDEX_TITLE, charts
from tests.dashboard.pages.test_pages import texts
from tests.support.series import group, run

HOSTILE = "<img src=x onerror=alert(1)>"
NEW: dict[str, Any] = {
    "alpha_bar": 1.4, "alpha_hat": 1.4, "k": 655, "n": 65_536,
    "n_total": 70_000, "scope": Scope.GLOBAL, "estimator": Estimator.HILL,
}  # fmt: skip
OLD: dict[str, Any] = {"alpha_bar": 1.7, "alpha_hat": 1.7, "k": 776, "n": 65_536}


def index(run_id: str) -> TailSeries:
    return TailSeries(
        run_id=run_id, layer="", fraction=0.01, step=[0, 1, 2], alpha=[1.5, None, 1.6],
        stderr=[0.1, None, 0.1], k=[100, 0, 100], n=[10_000] * 3, total=3, cursor="2",
    )  # fmt: skip


def drawn(*runs: Run) -> ComparisonData:
    groups = [replace(group([0.0]), members=(one.id,)) for one in runs]
    cautions = differences(runs)
    alike = [index(one.id) for one in runs] if cautions else []
    figures = index_figure(runs, groups, alike, theme.LIGHT)
    return ComparisonData(
        groups=groups, figures=figures, keys=("alpha_bar",), runs=runs, cautions=cautions
    )


def test_runs_that_measured_different_things_are_not_shown_together_without_a_word() -> None:
    runs = [run(id="1", name="old", summary=OLD), run(id="2", name=HOSTILE, summary=NEW)]
    found = drawn(*runs)
    caution, *cards = charts(found)
    said = texts(caution)
    assert "cannot be compared as they are" in said
    assert f"1.18 % (old); 0.999 % ({HOSTILE})" in said
    assert INDEX_TITLE in said
    assert any(INDEX_TITLE in texts(card) for card in cards)
    old, new = found.figures[INDEX]["data"]
    assert old["y"] == [1.5, None, 1.6]
    assert not old["connectgaps"]
    assert "<img" not in new["name"]


def test_runs_that_measured_the_same_need_no_word_and_no_further_chart() -> None:
    found = drawn(run(id="1", summary=NEW), run(id="2", summary=NEW))
    assert "caution" not in [getattr(part, "className", "") for part in charts(found)]
    assert INDEX not in found.figures
