from __future__ import annotations

import json

import numpy as np

from htga_dashboard.figures import ridgeline, theme
from tests.support.plotly import checked
from tests.support.series import histograms

draw = checked(ridgeline.figure)


def test_every_column_is_a_ridge_below_the_one_before_and_the_latest_stands_out() -> None:
    found = histograms({step: {0.25: 10, 0.5: 100 + step} for step in range(3)})
    figure = draw(found, theme.LIGHT)
    assert len(figure.data) == 6
    assert [figure.data[at].y[0] for at in (0, 2, 4)] == [0, -1, -2]
    assert figure.data[5].line.color == theme.LIGHT.lines[1]
    assert np.argmax(figure.data[5].y) == len(figure.data[5].y) - 1
    assert figure.layout.yaxis.ticktext[0] == "2"


def test_a_run_without_entries_has_a_picture_too() -> None:
    for nothing in (histograms({}), histograms({3: {}})):
        figure = draw(nothing, theme.DARK)
        json.dumps(figure.to_plotly_json(), default=str, allow_nan=False)
