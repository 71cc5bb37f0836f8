from __future__ import annotations

import math

from htga_dashboard.figures import small_multiples as multiples
from htga_dashboard.figures import theme
from htga_dashboard.models.layer_rows import MEASURES, strata
from tests.support.plotly import checked
from tests.support.series import layer_map

draw = checked(multiples.figure)


def test_every_layer_has_a_chart_in_the_order_of_the_rows_and_one_scale() -> None:
    rows = strata(layer_map(a=[2.5, 2.0], b=[1.5, 1.0]), "telling")
    figure = draw(rows, MEASURES["alpha_hat"], theme.LIGHT, revision="r", across=4)
    assert [note.text for note in figure.layout.annotations] == ["b", "a"]
    assert list(figure.data[1].y) == [1.5, 1.0]
    assert figure.layout.yaxis2.matches == "y"


def test_of_very_many_layers_the_first_are_drawn() -> None:
    rows = strata(layer_map(**{f"l{place}": [1.0] for place in range(40)}))
    figure = draw(rows, MEASURES["alpha_hat"], theme.LIGHT, revision="r", across=4)
    assert len(figure.layout.annotations) == multiples.MOST
    assert multiples.height(rows, 4) == multiples.ROW_PX * 6 + multiples.AROUND_PX


def test_a_narrow_page_has_one_below_the_other() -> None:
    rows = strata(layer_map(a=[2.5, 2.0], b=[1.5, 1.0]), "telling")
    figure = draw(rows, MEASURES["alpha_hat"], theme.LIGHT, revision="r", across=1)
    first, second = figure.layout.yaxis.domain, figure.layout.yaxis2.domain
    assert second[1] < first[0]
    assert figure.layout.xaxis.domain == figure.layout.xaxis2.domain == (0, 1)
    assert multiples.height(rows, 1) > multiples.height(rows, 2)


def test_the_name_of_a_layer_that_broke_is_red() -> None:
    rows = strata(layer_map("grad_norm", a=[1.0, math.nan], b=[1.0, 1.0]))
    figure = draw(rows, MEASURES["grad_norm"], theme.LIGHT, revision="r", across=4)
    colours = {note.text: note.font.color for note in figure.layout.annotations}
    assert colours == {"a": theme.LIGHT.danger, "b": theme.LIGHT.text}


def test_without_layers_there_is_nothing_to_see() -> None:
    figure = draw(strata(layer_map()), MEASURES["alpha_hat"], theme.LIGHT, revision="r", across=4)
    assert not figure.data
