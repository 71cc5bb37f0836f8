from __future__ import annotations

import math
from typing import Any

import pytest

from htga_dashboard.figures import overlay, theme
from htga_dashboard.figures.escape import MAX_LENGTH, escape
from htga_dashboard.models.comparison import Comparison
from htga_dashboard.models.lines import Line, line
from tests.support import series as made
from tests.support.plotly import checked

draw = checked(overlay.figure)


def drawn(*lines: tuple[str, Line], **how: Any) -> Any:
    said: dict[str, Any] = {
        "axis": "step",
        "log": False,
        "theme": theme.LIGHT,
        "revision": "r",
    } | how
    return draw(lines, **said).to_plotly_json()


def flat_line(*values: float, members: int = 1) -> Line:
    found = made.group(range(len(values)), loss=made.members(values, n=members))
    return line(found, "loss", Comparison())


def test_every_line_has_a_look_of_its_own() -> None:
    count = 3 * len(theme.LIGHT.lines)
    figure = drawn(*((str(place), flat_line(1.0, 2.0)) for place in range(count)))
    looks = {(t["line"]["color"], t["line"]["dash"]) for t in figure["data"][1::2]}
    assert len(looks) == count


def test_a_run_stands_before_its_extremes_and_a_group_before_its_band() -> None:
    around, shown = drawn(("a", flat_line(1.0, 2.0)))["data"]
    assert around["x"] == [0, 0, 1, 1]
    assert around.get("fill") is None
    band, mean = drawn(("g", flat_line(1.0, 2.0, members=3)))["data"]
    assert band["fill"] == "toself"
    assert band["x"] == [0, 1, 1, 0]
    assert mean["customdata"] == ["  n=3", "  n=3"]
    assert shown["customdata"] == ["", ""]


def test_what_an_axis_has_no_place_for_is_a_gap() -> None:
    values = (1.0, math.nan, -1.0, math.inf)
    assert drawn(("a", flat_line(*values)))["data"][1]["y"] == [1.0, None, -1.0, None]
    log = drawn(("a", flat_line(*values)), log=True)
    assert log["data"][1]["y"] == [1.0, None, None, None]


def test_a_band_below_zero_ends_at_the_lowest_value_on_a_logarithmic_axis() -> None:
    means = made.members([1.0, 5.0], n=2)
    group = line(made.group([0, 1], loss=means), "loss", Comparison(band="t95"))
    assert group.low.min() < 0
    band, mean = drawn(("g", group), log=True)["data"]
    assert None not in band["y"]
    assert min(band["y"]) == min(mean["y"])


@pytest.mark.parametrize(
    ("last", "unit", "shown"), [(300, "s", 300), (1800, "min", 30), (90_000, "h", 25)]
)
def test_relative_time_has_the_unit_that_fits(last: int, unit: str, shown: float) -> None:
    run = line(made.group([0, last], loss=made.members([1.0, 1.0])), "loss", Comparison())
    figure = drawn(("a", run), axis="relative")
    assert figure["data"][1]["x"] == [0, shown]
    assert figure["layout"]["xaxis"]["ticksuffix"] == f" {unit}"


def test_times_of_day_are_dates_in_milliseconds() -> None:
    run = line(made.group([1.7e9], loss=made.members([1.0])), "loss", Comparison())
    figure = drawn(("a", run), axis="time")
    assert figure["data"][1]["x"] == [1.7e12]
    assert figure["layout"]["xaxis"]["type"] == "date"


def test_of_many_lines_hovering_names_the_nearest() -> None:
    few = drawn(("a", flat_line(1.0)))
    many = drawn(*((str(i), flat_line(1.0)) for i in range(9)))
    assert few["layout"]["hovermode"] == "x unified"
    assert many["layout"]["hovermode"] == "closest"


def test_nothing_to_draw_is_an_empty_figure() -> None:
    assert not drawn()["data"]
    assert drawn(("a", flat_line()), log=True)["data"][1]["x"] == []


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("<b>x</b> & y", "&lt;b&gt;x&lt;/b&gt; &amp; y"),
        ("a\nb\tc\x00\x1b[0m", "a b c[0m"),
        ("\u202egnirts", "gnirts"),
        ("x" * 4096, "x" * (MAX_LENGTH - 1) + "…"),
        ("日本 é", "日本 é"),
    ],
)
def test_a_name_is_shown_letter_by_letter(text: str, label: str) -> None:
    assert escape(text) == label
