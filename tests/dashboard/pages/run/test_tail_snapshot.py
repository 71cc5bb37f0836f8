from __future__ import annotations

import math

import pytest

from htga_dashboard.figures import theme
from htga_dashboard.pages.run.selected_step import SnapshotQuery, StepWindow
from htga_dashboard.pages.run.tail_snapshot import figures
from htga_dashboard.pages.run.view_state import View
from tests.support.series import histograms, run, series

POWER_LAW = {2.0**j: round(10**7 * 2 ** (-1.5 * j)) for j in range(15)}
"""Counts of a power law of index 1.5, a bin to the octave."""


def view(steps: int = 100, *, columns: int = 100) -> View:
    step = range(0, steps, max(steps // columns, 1))
    return View.of(
        run(), series(range(steps)), histograms({at: {0.25: 1} for at in (*step, steps - 1)})
    )


def window(k: int | None = None) -> StepWindow:
    return StepWindow(7, 7, k, "light")


def test_unless_a_step_is_chosen_the_window_is_the_latest() -> None:
    assert StepWindow.of(view(), SnapshotQuery(), "dark") == StepWindow(99, 99, None, "dark")
    assert StepWindow.of(view(), SnapshotQuery(at=40), None) == StepWindow(40, 40, None, None)
    assert StepWindow.of(view(), SnapshotQuery(at=4000, k=200), None) == StepWindow(
        99, 99, 200, None
    )


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("", SnapshotQuery()),
        ("?at=40&k=200&of=fc.weight", SnapshotQuery(at=40, k=200, layer="fc.weight")),
        ("?at=-3&k=1e9&of=", SnapshotQuery()),
        ("?at=" + "9" * 400, SnapshotQuery()),
    ],
)
def test_an_address_says_which_step_is_shown(query: str, chosen: SnapshotQuery) -> None:
    assert SnapshotQuery.from_query(query) == chosen


def test_the_window_of_a_long_run_is_a_column_of_its_heat_map() -> None:
    assert StepWindow.of(view(2000), SnapshotQuery(at=1234), None) == StepWindow(
        1225, 1234, None, None
    )
    assert StepWindow.of(view(2000), SnapshotQuery(at=3), None).first == 0


def test_the_fitted_line_has_the_index_of_the_tail() -> None:
    survival, hill, words = figures(histograms({7: POWER_LAW}, bits=0), window())
    line = survival["data"][1]
    slope = math.log(line["y"][1] / line["y"][0]) / math.log(line["x"][1] / line["x"][0])
    assert slope == pytest.approx(-1.5, abs=0.02)
    assert "step 7: alpha_hat 1.5" in words
    assert hill["layout"]["shapes"][0]["x0"] in hill["data"][1]["x"]


def test_a_survival_plot_begins_where_the_entries_begin_to_thin_out() -> None:
    specks = {2.0**-60: 5}  # forty decades of nothing lie between these and all others
    survival, *_ = figures(histograms({7: specks | POWER_LAW}, bits=0), window())
    left, right = survival["layout"]["xaxis"]["range"]
    assert -1 < left < right < 6
    assert min(survival["data"][0]["x"]) == 2.0**-60  # zoomed out, all of it is there


def test_a_chosen_k_is_marked_where_a_tail_of_about_that_size_begins() -> None:
    _, hill, words = figures(histograms({7: POWER_LAW}, bits=0), window(20_000))
    chosen = hill["layout"]["shapes"][0]["x0"]
    assert chosen == min(hill["data"][1]["x"], key=lambda k: abs(k - 20_000))
    assert f"k = {chosen:,.0f} of n" in words


def test_several_steps_are_summed_and_named() -> None:
    both = histograms({6: POWER_LAW, 7: POWER_LAW}, bits=0)
    _, hill, words = figures(both, StepWindow(6, 7, None, "dark"))
    assert max(hill["data"][1]["x"]) == 2 * sum(POWER_LAW.values())
    assert words.startswith("steps 6 to 7")
    assert hill["layout"]["paper_bgcolor"] == theme.DARK.surface


@pytest.mark.parametrize("columns", [{}, {7: {0.25: 5}}, {7: {0.25: 10_000}}])
def test_where_there_is_no_tail_the_caption_says_so(columns: dict[int, dict[float, int]]) -> None:
    survival, hill, words = figures(histograms(columns), window())
    assert "too few entries for a tail" in words
    assert len(survival["data"]) == 1
    assert "shapes" not in hill["layout"]


def test_the_caption_says_which_law_fits_the_tail_better() -> None:
    *_, words = figures(histograms({7: POWER_LAW}, bits=0), window(100_000))
    assert "against lognormal: cannot be told" in words
    assert "against exponential: better, p < 0.001" in words
    bent = {2.0**j: round(10**6 * math.exp(-(j**2) / 4)) for j in range(9)}
    *_, words = figures(histograms({7: bent}, bits=0), window(100_000))
    assert "power law against lognormal: worse, p < 0.001" in words
