from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htga_dashboard.figures import histogram_heatmap, theme
from tests.support.plotly import checked
from tests.support.series import histograms

draw = checked(histogram_heatmap.figure)


def test_a_cell_is_the_logarithm_of_its_share_of_the_column() -> None:
    columns = histogram_heatmap.columns(
        given := histograms({7: {0.25: 90, 4.0: 10}}), histogram_heatmap.edges_of(given)
    )
    assert columns is not None
    assert columns["x"] == [7]
    (shades,) = columns["z"]
    edges = histogram_heatmap.edges_of(given)
    shown = {
        (low, high): shade
        for low, high, shade in zip(edges, edges[1:], shades, strict=False)
        if shade is not None
    }
    assert shown == {
        (0.25, 0.375): pytest.approx(math.log10(0.9), abs=1e-3),
        (4.0, 6.0): pytest.approx(-1.0),
    }


def test_bins_are_drawn_in_units_of_the_gradient_on_a_logarithmic_axis() -> None:
    figure = draw(histograms({0: {1e-6: 1, 1.0: 1}, 1: {1e-3: 5}}), theme.DARK)
    trace = figure.data[0]
    assert trace.transpose is True
    assert list(trace.x) == [0, 1]
    assert len(trace.y) == len(trace.z[0]) + 1
    assert trace.y[0] < 1e-6
    assert trace.y[-1] > 1.0
    assert figure.layout.yaxis.type == "log"
    assert [colour for _, colour in trace.colorscale] == list(theme.DARK.heat)


def test_more_bins_than_a_card_has_room_for_are_merged() -> None:
    wide = histograms({0: {2.0**power: 1 for power in range(-100, 100)}}, bits=3)
    edges = histogram_heatmap.edges_of(wide)
    assert len(edges) - 1 <= histogram_heatmap.ROWS
    columns = histogram_heatmap.columns(wide, edges)
    assert columns is not None
    assert sum(10**shade for shade in columns["z"][0] if shade is not None) == pytest.approx(
        1.0, abs=0.01
    )


@given(
    st.lists(
        st.dictionaries(
            st.integers(-40, 20).map(lambda power: 1.5 * 2.0**power),
            st.integers(1, 10**6),
            min_size=1,
            max_size=8,
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 3),
)
def test_the_shares_of_a_column_add_up_to_one(columns: list[dict[float, int]], bits: int) -> None:
    given_ = histograms(dict(enumerate(columns)), bits=bits)
    drawn = histogram_heatmap.columns(given_, histogram_heatmap.edges_of(given_))
    assert drawn is not None
    for column in drawn["z"]:
        shares = [10**shade for shade in column if shade is not None]
        assert sum(shares) == pytest.approx(1.0, abs=0.02)


def test_later_histograms_fit_between_the_edges_drawn_before() -> None:
    edges = histogram_heatmap.edges_of(histograms({0: {0.25: 1, 4.0: 1}}))
    later = histogram_heatmap.columns(histograms({1: {0.25: 3}}), edges)
    assert later is not None
    (column,) = later["z"]
    assert [i for i, shade in enumerate(column) if shade is not None] == [edges.index(0.25)]


def test_entries_beyond_the_edges_are_not_left_out_silently() -> None:
    edges = histogram_heatmap.edges_of(histograms({0: {0.25: 1, 4.0: 1}}))
    assert histogram_heatmap.columns(histograms({1: {1e6: 1}}), edges) is None


def test_a_run_without_histograms_gives_an_empty_figure() -> None:
    nothing = histograms({})
    assert histogram_heatmap.edges_of(nothing) == []
    assert histogram_heatmap.columns(nothing, []) == {"x": [], "z": []}
    assert list(draw(nothing, theme.LIGHT).data[0].x) == []


def test_a_histogram_of_zeros_alone_is_an_empty_column() -> None:
    edges = histogram_heatmap.edges_of(histograms({0: {0.25: 1}}))
    nothing = histograms({1: {}})
    assert histogram_heatmap.columns(nothing, edges) == {"x": [1], "z": [[None] * (len(edges) - 1)]}


def test_cells_are_plain_lists_which_a_browser_can_extend() -> None:
    figure = draw(histograms({0: {1.0: 1}, 1: {1.0: 1}}), theme.LIGHT)
    trace = json.loads(figure.to_json())["data"][0]
    assert isinstance(trace["z"], list)
    assert isinstance(trace["z"][0], list)
    assert isinstance(trace["x"], list)
