from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from htga_client.wire import Run, Series
from htga_dashboard.figures import theme
from htga_dashboard.pages.run import load
from htga_dashboard.pages.run.heatmap_state import COLUMNS
from htga_dashboard.pages.run.view_state import MAX_GROWN_DOTS, STEPS, View
from tests.support.series import histograms, run, series


def values(steps: range) -> Series:
    count = len(steps)
    return series(steps, alpha_hat=[1.4] * count, alpha_bar=[1.5] * count, grad_norm=[0.2] * count)


def view(steps: int = 100, **other: Any) -> View:
    return View.of(run(**other), values(range(steps)), histograms({steps - 1: {0.25: 1}}))


def test_a_view_comes_back_from_the_browser_as_it_went() -> None:
    sent = json.loads(json.dumps(view().to_json()))
    assert View.from_json(sent) == view()


def test_later_steps_are_appended_to_every_chart() -> None:
    grown = view().grow(run(), values(range(100, 102)), None)
    assert grown is not None
    later, extensions = grown
    assert set(extensions) == {"tail", "norm"}
    data, traces = extensions["norm"]
    assert data["x"] == [[100, 101], [100, 101]]
    assert data["y"] == [[None, None], [0.2, 0.2]]
    assert traces == [0, 1]
    assert (later.step, later.cursor, later.grown, later.beat) == (101, "101", 2, 1)


def test_a_later_histogram_is_appended_to_the_heat_map() -> None:
    grown = view().grow(run(), values(range(100, 101)), histograms({100: {0.25: 4}}))
    assert grown is not None
    later, extensions = grown
    data, traces = extensions["heat"]
    assert data["x"] == [[100]]
    assert traces == [0]
    assert (later.heat.step, later.heat.cursor, later.heat.grown) == (100, "100", 1)


def test_no_news_changes_nothing_but_the_beat() -> None:
    grown = view().grow(run(), values(range(0)), None)
    assert grown == (view().answered(), {})


@pytest.mark.parametrize(
    "now",
    [
        run(state="finished"),
        run(attempt=2),
        run(metrics=("loss",)),
        run(summary={"alpha_hat": 1.4, "alpha_bar": 1.5, "grad_norm": 0.2, "gamma": 0.1}),
    ],
    ids=["it ended", "it was resumed", "a metric is new", "the controller is new"],
)
def test_the_page_is_redrawn_when_more_than_steps_have_changed(now: Run) -> None:
    assert view().grow(now, values(range(100, 101)), None) is None


def test_the_page_of_a_young_run_is_redrawn_at_every_step() -> None:
    assert view(steps=5).grow(run(), values(range(5, 6)), None) is None


def test_the_page_is_redrawn_when_too_much_was_appended() -> None:
    full = range(9000, 9000 + STEPS)
    assert view(9000).grow(run(), values(full), None) is not None
    assert view(9000).grow(run(), values(range(9000, 9001 + STEPS)), None) is None


def test_the_page_is_redrawn_when_its_dots_have_become_too_many() -> None:
    assert view(100).grow(run(), values(range(100, MAX_GROWN_DOTS)), None) is not None
    assert view(100).grow(run(), values(range(100, MAX_GROWN_DOTS + 2)), None) is None


def test_the_first_value_without_a_place_redraws_the_page_and_the_next_is_appended() -> None:
    broken = series(range(100, 101), grad_norm=[math.nan], alpha_hat=[1.4], alpha_bar=[1.5])
    assert view().grow(run(), broken, None) is None
    grown = replace(view(), marked=("norm",)).grow(run(), broken, None)
    assert grown is not None
    data, traces = grown[1]["norm"]
    assert data["x"] == [[100], [100], [100]]
    assert traces == [0, 1, 2]


def test_a_view_knows_which_charts_have_marks() -> None:
    broken = series(range(2), grad_norm=[0.1, math.inf], alpha_hat=[1.4] * 2, alpha_bar=[1.5] * 2)
    assert load.build(run(), broken, histograms({}), theme.LIGHT).view.marked == ("norm",)


def test_the_page_is_redrawn_for_the_first_histogram_and_for_one_that_does_not_fit() -> None:
    without = View.of(run(), values(range(100)), histograms({}))
    assert without.grow(run(), values(range(100, 101)), histograms({100: {0.25: 1}})) is None
    assert view().grow(run(), values(range(100, 101)), histograms({100: {1e9: 1}})) is None


def test_a_run_with_nothing_to_draw_still_asks_for_a_key() -> None:
    empty = View.of(run(summary={}, last_step=None), series([]), histograms({}))
    assert empty.keys == ("alpha_hat",)
    assert empty.columns_due() == 0


def test_a_long_run_gets_a_column_of_the_heat_map_only_when_one_is_full() -> None:
    columns = histograms({step: {0.25: 1} for step in range(0, 2000, 10)})
    long = View.of(run(), values(range(2000)), columns)
    assert long.heat.width == 10
    grown = long.grow(run(), values(range(2000, 2005)), None)
    assert grown is not None
    assert grown[0].columns_due() == 1
    late = long.grow(run(), values(range(2000, 2400)), None)
    assert late is not None
    assert late[0].columns_due() == 40
    assert COLUMNS >= 40


def test_a_heat_map_that_is_ahead_of_the_curves_waits_for_them() -> None:
    ahead = View.of(run(), values(range(100)), histograms({step: {0.25: 1} for step in range(102)}))
    assert (ahead.step, ahead.heat.step, ahead.columns_due()) == (99, 101, 0)
    grown = ahead.grow(run(), values(range(100, 104)), None)
    assert grown is not None
    assert grown[0].columns_due() == 2


def test_the_first_histogram_of_a_run_is_looked_for_among_new_rows_only() -> None:
    without = View.of(run(), values(range(100)), histograms({}))
    assert without.heat.cursor is None
    assert without.cursor == "99"
    assert without.columns_due() == 1
