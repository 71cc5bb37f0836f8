"""The tails of several runs in one figure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np

from htga_client.wire import Tail
from htga_client.wire.histogram import Histogram
from htga_dashboard.figures import tail_overlay, theme
from htga_dashboard.figures.tail_overlay import RunTail
from htga_dashboard.pages.compare import load
from htga_server.reads.tail import describe
from tests.support.plotly import checked
from tests.support.series import group, run

HOSTILE = "<img src=x onerror=alert(1)>%{y}"


def tail(index: float, entries: int = 10**6, first: int = 110) -> Tail:
    """Rows with histograms whose tail is a power law of that index, a bin to the octave."""
    counts = np.array([round(entries * 2 ** (-index * octave)) for octave in range(20)], np.int64)
    histogram = Histogram(0, first, counts[counts > 0], 0, 0)
    return describe(histogram, run_id="r", layer="", step=7)


def drawn(*owns: RunTail) -> tuple[Any, Any]:
    return (
        checked(tail_overlay.survival)(owns, theme.LIGHT),
        checked(tail_overlay.hill)(owns, theme.LIGHT),
    )


def test_each_run_has_a_line_in_its_colour_and_dash() -> None:
    for figure in drawn(*(RunTail(f"run {place}", place, tail(1.5)) for place in range(8))):
        styles = {(trace.line.color, trace.line.dash) for trace in figure.data}
        assert len(figure.data) == len(styles) == 8


def test_survival_shows_where_the_first_begins_to_fall_and_the_last_ends() -> None:
    small, large = tail(1.5, first=100), tail(1.5, first=120)
    figure, _ = drawn(RunTail("small", 0, small), RunTail("large", 1, large))
    low, high = figure.layout.xaxis.range
    assert low <= np.log10(small.magnitude[1])
    assert high >= np.log10(large.magnitude[-1])
    assert list(figure.data[0].y) == small.survival


def test_a_hill_plot_says_an_index_for_every_size_of_the_tail_in_rising_order() -> None:
    _, figure = drawn(RunTail("heavy", 0, tail(1.2)), RunTail("light", 1, tail(3.0)))
    heavy, light = figure.data
    assert list(heavy.x) == sorted(heavy.x)
    middle = [np.median([a for a in trace.y if a is not None]) for trace in (heavy, light)]
    assert 1.0 < middle[0] < 1.4
    assert 2.5 < middle[1] < 3.5


def test_an_empty_tail_is_drawn_as_nothing() -> None:
    empty = describe(Histogram(0, 110, np.zeros(0, np.int64), 3, 0), run_id="r", layer="", step=0)
    for figure in drawn(RunTail("empty", 0, empty)):
        assert [list(trace.x) for trace in figure.data] == [[]]


def test_a_name_is_letters_in_the_pictures() -> None:
    for figure in drawn(RunTail(HOSTILE, 0, tail(1.5))):
        assert "<img" not in json.dumps(figure.to_dict(), default=str)


def test_runs_of_one_group_have_one_colour_and_one_without_a_histogram_has_no_line() -> None:
    runs = [run(id=name, name=name) for name in ("a", "b", "c")]
    groups = [replace(group([]), members=members) for members in (("a", "c"), ("b",))]
    figures = load.tail_figures(runs, groups, [tail(1.5), None, tail(2.0)], theme.LIGHT)
    first, second = figures[load.SURVIVAL]["data"]
    assert (first["name"], second["name"]) == ("a", "c")
    assert first["line"] == second["line"]
    assert load.tail_figures(runs, groups, [None] * 3, theme.LIGHT) == {}
