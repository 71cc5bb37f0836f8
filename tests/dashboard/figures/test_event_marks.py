from __future__ import annotations

import json

from htga_client.wire import RunEvent
from htga_dashboard.figures import event_marks, theme
from htga_dashboard.pages.run import load
from htga_dashboard.pages.run.view_state import View
from tests.support.series import histograms, run, series


def event(step: int, **other: str) -> RunEvent:
    said = {"kind": "alert", "level": "error", "title": "<b onclick=x>", "text": "t"} | other
    return RunEvent(step=step, time=float(step), rank=0, layer="", attempt=1, **said)  # type: ignore[arg-type]


def test_an_event_is_a_flag_in_the_colour_of_its_level() -> None:
    trace = event_marks.trace([event(7), event(9, level="info")], theme.LIGHT)
    assert trace["x"] == [7, 9]
    assert trace["marker"]["color"] == [theme.LIGHT.danger, theme.LIGHT.muted]
    assert trace["marker"]["standoff"] > 0  # and it stands above all labels
    assert "<b onclick" not in json.dumps(trace)


def test_of_very_many_events_the_latest_are_marked() -> None:
    trace = event_marks.trace([event(step) for step in range(5000)], theme.LIGHT)
    assert trace["x"] == list(range(5000 - event_marks.MAX_EVENTS, 5000))


def test_every_curve_is_marked_after_its_own_traces_and_no_heat_map() -> None:
    values = series([0], alpha_hat=[1.4], alpha_bar=[1.5], grad_norm=[0.2])
    heat = histograms({0: {0.5: 1}})
    plain = load.build(run(), values, heat, theme.LIGHT).figures
    marked = load.build(run(), values, heat, theme.LIGHT, events=[event(0)]).figures
    assert marked["norm"]["data"][:-1] == plain["norm"]["data"]
    assert marked["norm"]["data"][-1]["name"] == "event"
    assert len(marked["heat"]["data"]) == len(plain["heat"]["data"])


def test_a_new_event_redraws_the_charts() -> None:
    values = series(range(100), alpha_hat=[1.4] * 100, alpha_bar=[1.5] * 100, grad_norm=[1.0] * 100)
    view = View.of(run(), values, histograms({}), [event(5)])
    more = series([100], alpha_hat=[1.4], alpha_bar=[1.5], grad_norm=[1.0])
    assert view.grow(run(), more, None, [event(5)]) is not None
    assert view.grow(run(), more, None, [event(5), event(100)]) is None
