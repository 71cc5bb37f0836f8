from __future__ import annotations

import math

from htga_dashboard.figures import small_multiples, theme
from htga_dashboard.models.layer_rows import MEASURES, layer_rows
from tests.support.plotly import checked
from tests.support.series import layer_map

draw = checked(small_multiples.figure)


def test_every_layer_has_a_chart_in_the_order_of_the_rows_and_one_scale() -> None:
    rows = layer_rows(layer_map(a=[2.5, 2.0], b=[1.5, 1.0]), "worst")
    figure = draw(rows, MEASURES["alpha_hat"], theme.LIGHT, revision="r", across=4)
    assert [note.text for note in figure.layout.annotations] == ["b", "a"]
    assert list(figure.data[1].y) == [1.5, 1.0]
    assert figure.layout.yaxis2.matches == "y"


def test_of_very_many_layers_the_first_are_drawn() -> None:
    rows = layer_rows(layer_map(**{f"l{place}": [1.0] for place in range(40)}))
    figure = draw(rows, MEASURES["alpha_hat"], theme.LIGHT, revision="r", across=4)
    assert len(figure.layout.annotations) == small_multiples.MAX_CHARTS
    assert small_multiples.height(rows, 4) == small_multiples.ROW_PX * 6 + small_multiples.AROUND_PX


def test_a_narrow_page_has_one_below_the_other() -> None:
    rows = layer_rows(layer_map(a=[2.5, 2.0], b=[1.5, 1.0]), "worst")
    figure = draw(rows, MEASURES["alpha_hat"], theme.LIGHT, revision="r", across=1)
    first, second = figure.layout.yaxis.domain, figure.layout.yaxis2.domain
    assert second[1] < first[0]
    assert figure.layout.xaxis.domain == figure.layout.xaxis2.domain == (0, 1)
    assert small_multiples.height(rows, 1) > small_multiples.height(rows, 2)


def test_the_name_of_a_layer_that_broke_is_red() -> None:
    rows = layer_rows(layer_map("grad_norm", a=[1.0, math.nan], b=[1.0, 1.0]))
    figure = draw(rows, MEASURES["grad_norm"], theme.LIGHT, revision="r", across=4)
    colours = {note.text: note.font.color for note in figure.layout.annotations}
    assert colours == {"a": theme.LIGHT.danger, "b": theme.LIGHT.text}


def test_without_layers_there_is_nothing_to_see() -> None:
    figure = draw(
        layer_rows(layer_map()), MEASURES["alpha_hat"], theme.LIGHT, revision="r", across=4
    )
    assert not figure.data
