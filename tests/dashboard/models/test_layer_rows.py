from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from htga_client.wire import LayerMap
from htga_dashboard.models.layer_rows import ROWS, layer_rows
from tests.support.series import layer_map

NAN = math.nan


def names(found: LayerMap, *order: Any, **how: Any) -> list[str]:
    return [name for row in layer_rows(found, *order, **how).layers for name in row]


def test_the_heaviest_tail_comes_first_and_what_cannot_be_estimated_last() -> None:
    found = layer_map(a=[3.0, 2.0], b=[NAN, NAN], c=[1.0, 1.4])
    assert names(found, "worst") == ["c", "a", "b"]
    assert not layer_rows(found).broken.any()


def test_the_largest_norm_comes_first_after_what_is_not_finite() -> None:
    found = layer_map("grad_norm", a=[0.1, 0.1], b=[0.1, NAN], c=[9.0, 8.0], d=[0.0, None])
    rows = layer_rows(found, "worst")
    assert [name for (name,) in rows.layers] == ["b", "c", "a", "d"]
    assert rows.broken.tolist()[0] == [False, True]
    assert rows.broken.sum() == 1


@pytest.mark.parametrize(
    ("order", "expected"),
    [("model", ["b", "a", "c"]), ("name", ["a", "b", "c"]), ("varying", ["c", "a", "b"])],
)
def test_layers_have_the_order_that_was_chosen(order: str, expected: list[str]) -> None:
    found = layer_map(b=[2.0, 2.0], a=[2.0, 2.1], c=[1.0, 3.0])
    assert names(found, order) == expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [("", ["fc.weight", "conv.bias"]), ("CONV", ["conv.bias"]), ("*.weight", ["fc.weight"])],
)
def test_layers_are_found_by_a_part_of_their_name_or_by_a_pattern(
    match: str, expected: list[str]
) -> None:
    found = layer_map(**{"fc.weight": [1.0], "conv.bias": [1.0]})
    assert names(found, match=match) == expected


def test_of_too_many_layers_a_row_shows_the_worst_and_names_it() -> None:
    layers = {f"l{place}": [2.0, 2.0] for place in range(10 * ROWS)}
    layers["l123"] = [2.0, 0.5]
    rows = layer_rows(layer_map(**layers))
    assert len(rows.layers) == ROWS
    place = next(at for at, row in enumerate(rows.layers) if "l123" in row)
    assert rows.shown[place].tolist() == [2.0, 0.5]
    assert rows.layers[place][rows.source_layer[place, 1]] == "l123"
    assert np.nanmin(np.delete(rows.shown, place, axis=0)) == 2.0
    opened = layer_rows(layer_map(**layers), among=rows.layers[place])
    assert opened.layers == [(name,) for name in rows.layers[place]]


def test_a_run_without_layers_has_no_rows() -> None:
    assert layer_rows(layer_map()).layers == []
    assert layer_rows(layer_map(a=[1.0]), match="nothing like it").shown.shape == (0, 1)
