from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from dash import html
from dash.development.base_component import Component

from htga_client.wire import Histograms, Run, Series
from htga_dashboard.components import ids
from htga_dashboard.figures import theme
from htga_dashboard.models.experiment import View as Look
from htga_dashboard.pages import message
from htga_dashboard.pages.experiments import page as experiments
from htga_dashboard.pages.run import cards, load
from htga_dashboard.pages.run import page as run
from htga_dashboard.pages.run.view_state import View
from htga_dashboard.pages.runs import page as runs
from htga_dashboard.pages.runs import table as run_table
from htga_dashboard.pages.runs.load import Found
from tests.support.series import histograms, series
from tests.support.series import run as make_run

HOSTILE = "<img src=x onerror=alert(1)>"


def texts(component: Component) -> str:
    """All text of a component, in order."""
    return " ".join(_texts(component))


def _texts(child: Any) -> Iterator[str]:
    if isinstance(child, Component):
        yield from _texts(getattr(child, "children", None))
    elif isinstance(child, list | tuple):
        for one in child:
            yield from _texts(one)
    elif child is not None:
        yield str(child)


def page_of(now: Run, values: Series | None = None) -> Component:
    return run.layout(load.build(now, values or series([]), histograms({}), theme.LIGHT))


def shown(now: Run, values: Series, columns: Histograms | None = None) -> list[Component]:
    return run.charts(now, View.of(now, values, columns or histograms({})))


def test_a_row_holds_the_latest_values_of_its_run() -> None:
    row = run_table.row(
        make_run(
            tags=("a", "b"),
            group="sweep",
            summary={"alpha_bar": 1.5, "grad_norm": 0.25, "loss": 2.0},
        )
    )
    assert row["alpha_bar"] == 1.5
    assert row["gamma"] is None
    assert row["loss"] == 2.0
    assert row["tags"] == "a, b"
    assert row["step"] == 99


@pytest.mark.parametrize(
    ("value", "word"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]
)
def test_a_row_says_what_json_has_no_number_for(value: float, word: str) -> None:
    row = run_table.row(make_run(summary={"loss": value}))
    assert json.loads(json.dumps(row, allow_nan=False))["loss"] == word


def test_the_table_has_a_row_for_each_run_and_a_column_for_each_value() -> None:
    grid = runs.layout(Found(runs=[make_run(), make_run(id="other")]), url="http://x")[
        ids.RUNS_GRID
    ]
    assert [row["id"] for row in grid.rowData] == [make_run().id, "other"]
    fields = [column["field"] for column in grid.columnDefs if "field" in column]
    assert set(fields) < set(grid.rowData[0])
    assert fields[:3] == ["name", "project", "state"]


def test_without_runs_the_page_says_how_to_send_one_to_this_very_server() -> None:
    page = runs.layout(Found(), url="https://example.org:1234")
    snippet = page[ids.SNIPPET].children
    assert len(snippet.splitlines()) == 3
    assert 'url="https://example.org:1234"' in snippet
    assert "No runs yet" in texts(page)


def test_a_runs_page_names_the_run_and_its_latest_values() -> None:
    page = page_of(make_run(summary={"alpha_bar": 1.4824, "loss": 0.5}, metrics=("loss",)))
    assert "quiet-maple" in texts(page[ids.RUN_HEADING])
    readings = texts(page[ids.RUN_READINGS])
    assert "1.482" in readings
    assert "heavier than α = 2" in readings
    assert "loss 0.5" in readings
    assert getattr(page, "data-run") == make_run().id


def test_a_runs_page_comes_with_its_figures_and_what_they_show() -> None:
    values = series(range(3), alpha_hat=[1.4] * 3, alpha_bar=[1.5] * 3, grad_norm=[0.25] * 3)
    page = page_of(make_run(), values)
    figures = json.loads(page[ids.figures(ids.RUN)].data["figures"])
    assert figures["tail"]["data"][-1]["x"] == [0, 1, 2]
    assert View.from_json(page[ids.RUN_VIEW].data).step == 2
    assert "3 steps" in texts(page[ids.RUN_CAPTION])
    assert "Tail index" in texts(page[ids.RUN_CARDS])


def test_a_page_made_of_summaries_says_which_file_is_damaged() -> None:
    fault = f"the archive of run 1 is damaged: {HOSTILE} is missing"
    said = texts(page_of(make_run(), replace(series([]), damaged=(fault, fault))))
    assert said.count(fault) == 1
    assert "show summaries of several steps" in said
    assert "summaries" not in texts(page_of(make_run()))


@pytest.mark.parametrize(
    ("alpha", "words"),
    [
        (0.9, "heavier than α = 1"),
        (1.5, "heavier than α = 2"),
        (2.5, "lighter than α = 2"),
        (math.nan, ""),
    ],
)
def test_a_tail_index_is_put_into_words(alpha: float, words: str) -> None:
    assert cards.tail_hint(alpha) == words


def test_a_nested_setting_is_named_by_its_path() -> None:
    config = {"lr": 0.1, "optimizer": {"name": "SGD", "groups": [1, 2], "extra": {}}}
    text = texts(page_of(make_run(config=config)))
    assert "lr 0.1 optimizer.name SGD optimizer.groups [1, 2] optimizer.extra {}" in text


def test_every_chart_gets_a_card_and_the_heat_map_comes_third() -> None:
    now = make_run(metrics=("loss",), summary=make_run().summary | {"gamma": 0.1, "loss": 1.0})
    values = series([0], alpha_hat=[1.4], alpha_bar=[1.5], grad_norm=[0.2], gamma=[0.1], loss=[1.0])
    found = shown(now, values, histograms({0: {0.5: 3}}))
    graphs: list[Any] = [
        next(c for c in card._traverse() if getattr(c, "className", "") == "graph")
        for card in found
    ]
    assert [graph.id["name"] for graph in graphs] == ["tail", "gamma", "heat", "norm", "metric-0"]


def test_before_its_first_step_a_run_is_said_to_be_waited_for() -> None:
    (card,) = shown(make_run(summary={}), series([]))
    assert "Waiting for the first step" in texts(card)


def test_metrics_without_a_chart_are_counted() -> None:
    now = make_run(summary={}, metrics=tuple(f"m{i}" for i in range(60)))
    *_, last = shown(now, series([]))
    assert "12 more metrics" in texts(last)


def test_text_from_outside_is_nothing_but_text() -> None:
    hostile = make_run(
        name=HOSTILE,
        project=HOSTILE,
        group=HOSTILE,
        tags=(HOSTILE,),
        notes=HOSTILE,
        config={HOSTILE: HOSTILE},
        environment={HOSTILE: [HOSTILE]},
        metrics=(HOSTILE,),
        summary={HOSTILE: 1.0},
    )
    page = page_of(hostile)
    found = shown(hostile, series([0], **{HOSTILE: [1.0]}))
    kinds = {
        type(c).__name__
        for part in (page, *found)
        for c in part._traverse()
        if isinstance(c, Component)
    }
    assert "Markdown" not in kinds
    assert "DangerouslySetInnerHTML" not in kinds
    assert HOSTILE in texts(page)
    assert HOSTILE in texts(html.Div(found))


def test_a_message_leads_back_to_the_runs() -> None:
    page = message.layout("No such run", "It may have been deleted.")
    assert "No such run It may have been deleted. All runs" in texts(page)


def test_a_dropdown_offers_what_the_address_has_chosen_before_it_knows_what_there_is() -> None:
    page = experiments.layout(Look(study="s", metric="loss", baseline="sgd"), ["s"])
    assert page[ids.STUDY_METRIC].options == ["loss"]
    assert page[ids.STUDY_BASELINE].options == ["sgd"]
    assert experiments.layout(Look(study="s"), ["s"])[ids.STUDY_METRIC].options == []
