from __future__ import annotations

import json
import math

import pytest

from htga_dashboard.figures import layer_heatmap, theme
from htga_dashboard.models.layer_rows import MEASURES, ROWS, layer_rows
from htga_dashboard.pages.run.layer_load import caption
from htga_dashboard.pages.run.layer_options import LayerOptions
from tests.support.plotly import checked
from tests.support.series import layer_map

draw = checked(layer_heatmap.figure)

HOSTILE = "\N{RIGHT-TO-LEFT OVERRIDE}x" * 2000 + "<b onclick=alert(1)>"


def test_a_name_that_is_markup_is_a_short_label_of_its_last_letters() -> None:
    rows = layer_rows(layer_map(**{HOSTILE: [1.5]}))
    figure = draw(rows, MEASURES["alpha_hat"], theme.LIGHT, revision="r")
    written = json.dumps(figure.to_plotly_json(), default=str)
    assert "<b onclick" not in written
    (label,) = figure.layout.yaxis.ticktext
    assert label.endswith("x&lt;b onclick=alert(1)&gt;")
    assert len(label) == layer_heatmap.LABEL + len("&lt;&gt;") - len("<>")


def test_what_is_not_finite_is_red_and_what_was_not_measured_is_blank() -> None:
    rows = layer_rows(layer_map("grad_norm", a=[1.0, math.nan, None]))
    value, broken = draw(rows, MEASURES["grad_norm"], theme.DARK, revision="r").data
    assert value.z[0] == [0.0, None, None]
    assert broken.z[0] == [None, 1.0, None]
    assert broken.colorscale[0][1] == theme.DARK.danger


def test_hovering_says_layer_step_and_value() -> None:
    rows = layer_rows(layer_map(a=[1.25]))
    value, _ = draw(rows, MEASURES["alpha_hat"], theme.LIGHT, revision="r").data
    assert value.text[0][0] == "a<br>step 0<br>1.25"


@pytest.mark.parametrize(
    ("query", "look"),
    [
        ("", LayerOptions()),
        (
            "?layers=grad_norm&order=name&match=conv&layer=a&layer=b&layer=a",
            LayerOptions(key="grad_norm", order="name", match="conv", pinned=("a", "b")),
        ),
        ("?as=multiples&among=a&among=b", LayerOptions(form="multiples", among=("a", "b"))),
        ("?layers=nonsense&order=sideways&as=nothing", LayerOptions()),
    ],
)
def test_an_address_holds_the_options_of_layers(query: str, look: LayerOptions) -> None:
    assert LayerOptions.from_query(query) == look


def test_the_caption_says_how_many_layers_share_a_row() -> None:
    many = layer_rows(layer_map(**{f"l{place}": [1.0] for place in range(3 * ROWS)}))
    assert "192 layers, 3 to a row" in caption(many, LayerOptions())
    few = layer_rows(layer_map(a=[1.0], b=[2.0]), match="a")
    assert "1 of 2 layers" in caption(few, LayerOptions(match="a"))
    none = layer_rows(layer_map(a=[1.0]), match="z")
    assert caption(none, LayerOptions(match="z")) == "none of 1 layers has 'z' in its name"
