from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga.telemetry import Run
from htga.telemetry.notebook.card import Card
from htga.telemetry.notebook.curve import HEIGHT, WIDTH, Curve

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
VALUES = st.lists(st.tuples(st.integers(0, 2**53), st.floats()), min_size=1, max_size=900)


def parsed(html: str) -> ET.Element:
    return ET.fromstring(html)  # noqa: S314  it is ours


@given(name=TEXT, values=VALUES)
def test_a_curve_of_any_values_lies_within_its_picture(
    name: str, values: list[tuple[int, float]]
) -> None:
    curve = Curve(name, "#000000")
    for step, value in values:
        curve.add(step, value)
    picture = parsed(curve.svg())
    points = [
        tuple(map(float, point.split(",")))
        for line in picture.iter("polyline")
        for point in line.attrib["points"].split()
    ]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert bool(points) == any(math.isfinite(value) for _, value in values) or len(values) > 400


def test_a_long_run_is_as_small_as_a_short_one_and_keeps_its_ends() -> None:
    curve = Curve("loss", "#000000")
    for step in range(100_000):
        curve.add(step, float(step))
    (line,) = parsed(curve.svg()).iter("polyline")
    points = line.attrib["points"].split()
    assert len(points) <= 402
    assert float(points[len(points) // 2].split(",")[0]) == pytest.approx(WIDTH / 2, abs=WIDTH / 50)
    assert (points[0], points[-1]) == (f"2.0,{HEIGHT - 2}.0", f"{WIDTH - 2}.0,2.0")


@given(name=TEXT, metric=TEXT, project=TEXT)
def test_no_name_gets_out_of_the_card(name: str, metric: str, project: str) -> None:
    card = Card("http://127.0.0.1:8642/run/x?a=1&b=2")
    card.see([{"step": 1, "metrics": {metric: 1.0}, "alpha_bar": 1.5}, {"step": "?"}, {}])
    card.show(name or "n", project)
    root = parsed(card.html())
    assert {element.tag for element in root.iter()} == {"div", "a", "span", "svg", "polyline"}
    assert next(root.iter("a")).text == f"{name or 'n'} of {project}"


@pytest.mark.parametrize(
    ("metrics", "drawn"),
    [
        (["acc", "loss", "acc"], "loss"),
        (["acc", "lr", "acc"], "acc"),
        (["train/loss", "loss"], "train/loss"),
    ],
)
def test_a_loss_is_drawn_rather_than_another_metric(metrics: list[str], drawn: str) -> None:
    card = Card("")
    for step, name in enumerate(metrics):
        card.see([{"step": step, "metrics": {name: 1.0}}])
    labels = [svg.attrib["aria-label"].split()[0] for svg in parsed(card.html()).iter("svg")]
    assert labels == [drawn]


def test_a_run_outside_of_a_notebook_is_a_link() -> None:
    run = Run("id", "http://127.0.0.1:8642/run/id", name="<b>")
    assert "<b>" not in run._repr_html_()
    (link,) = parsed(run._repr_html_()).iter("a")
    assert (link.text, link.attrib["href"]) == ("<b>", run.url)
    with pytest.raises(NotImplementedError):  # so IPython takes `repr` in a terminal
        run._ipython_display_()
