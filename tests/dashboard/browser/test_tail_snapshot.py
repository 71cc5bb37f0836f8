"""The tail at a step: in a real Chromium, on a real collector."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from htga_client.wire.histogram import encode
from htga_server.http.server import Server
from tests.support.charts import DATA, scroll_to
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

Register = Callable[..., str]
Send = Callable[..., None]


def with_tail(steps: range, index: float) -> list[dict[str, object]]:
    """Rows whose histogram, a bin to the octave, is a power law of that index."""
    counts = [round(10**6 * 2 ** (-index * octave)) for octave in range(20)]
    return probe_rows(steps, histogram=encode(counts, bits=0, first=110))


def test_the_snapshot_follows_the_run_until_a_step_is_chosen(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, with_tail(range(100), 1.5))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    scroll_to(watched, "snapshot")
    caption = watched.locator("#snapshot-caption")
    expect(caption).to_contain_text("step 99: alpha_hat 1.5")
    send(dashboard, run_id, with_tail(range(100, 120), 2.5))
    expect(caption).to_contain_text("step 119: alpha_hat 2.5")

    watched.locator("#snapshot-step [role=slider]").focus()
    watched.keyboard.press("Home")
    expect(caption).to_contain_text("step 0: alpha_hat 1.5")
    send(dashboard, run_id, with_tail(range(120, 140), 2.5))
    expect(watched.locator("#live")).to_have_text("live · step 139")
    expect(caption).to_contain_text("step 0: alpha_hat 1.5")

    watched.locator("#snapshot-k").fill("100000")
    watched.locator("#snapshot-k").press("Enter")
    expect(caption).to_contain_text("of n =")
    watched.wait_for_function(f"() => ({DATA})('hill')?.layout?.shapes?.[0]?.x0 > 50000")


def test_where_not_every_step_is_measured_the_latest_that_was_is_shown(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, with_tail(range(100), 1.5))
    send(dashboard, run_id, [{"step": step, "metrics": [("loss", 1.0)]} for step in (100, 101)])
    watched.goto(f"{dashboard.url}/run/{run_id}")
    scroll_to(watched, "snapshot")
    expect(watched.locator("#snapshot-caption")).to_contain_text("step 99: alpha_hat 1.5")


def test_a_run_without_histograms_has_no_snapshot(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, probe_rows(range(100), histogram=None))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    watched.locator("[id*='\"tail\"'] .js-plotly-plot").wait_for()
    expect(watched.locator("#snapshot")).to_be_hidden()


def test_k_is_dragged_through_the_hill_plot_and_kept_in_the_address(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, with_tail(range(20), 1.5))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    scroll_to(watched, "snapshot")
    plot = watched.locator("[id*='\"hill\"'] .nsewdrag").first
    expect(watched.locator("[id*='\"hill\"'] .shapelayer path")).to_have_count(1)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    watched.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60)
    watched.mouse.down()
    watched.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 80, steps=4)
    said = watched.evaluate(f"() => ({DATA})('hill').layout.shapes[0].label.text")
    assert re.fullmatch(r"k = [\d,]+: 1\.\d+ ± [\d.e-]+", said)
    watched.mouse.up()
    k = re.sub(r"\D", "", said.split(":")[0])
    expect(watched.locator("#snapshot-k")).to_have_value(k)
    expect(watched.locator("#snapshot-caption")).to_contain_text(f"k = {int(k):,} of")
    assert f"k={k}" in watched.url
    watched.goto(watched.url)
    scroll_to(watched, "snapshot")
    expect(watched.locator("#snapshot-caption")).to_contain_text(f"k = {int(k):,} of")


def test_the_snapshot_is_of_a_layer_where_one_is_chosen(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, with_tail(range(20), 1.5))
    layer = [row | {"layer": "fc.weight"} for row in with_tail(range(0, 20, 7), 2.5)]
    send(dashboard, run_id, [{**row, "metrics": None} for row in layer])
    watched.goto(f"{dashboard.url}/run/{run_id}")
    scroll_to(watched, "snapshot")
    caption = watched.locator("#snapshot-caption")
    expect(caption).to_contain_text("step 19: alpha_hat 1.5")
    watched.locator("#snapshot-layer").press("Enter")
    watched.get_by_role("option", name="fc.weight").click()
    expect(caption).to_contain_text("step 14: alpha_hat 2.5")
    watched.goto(f"{dashboard.url}/run/{run_id}?of=fc.weight&at=10")
    scroll_to(watched, "snapshot")
    expect(caption).to_contain_text("step 7: alpha_hat 2.5")


@pytest.mark.parametrize(
    ("step", "at", "shown", "becomes"),
    [
        (99, 49, 99, "as it was"),  # a click came while the latest was being shown
        (49, 49, 49, "as it was"),
        (70, 49, 49, 70),
        (99, 49, 49, None),  # at its right end
        (99, None, 98, "as it was"),
    ],
)
def test_only_a_slider_that_somebody_moved_chooses_a_step(
    watched: Page, dashboard: Server, step: int, at: int | None, shown: int, becomes: object
) -> None:
    watched.goto(dashboard.url)
    watched.wait_for_function("() => window.dash_clientside?.no_update && window.htga?.live")
    moved = """([step, at, last]) => {
        const { htga, no_update } = dash_clientside;
        const found = htga.snapshotMoved(step, 99, at, { last });
        return found === no_update ? "as it was" : found;
    }"""
    assert watched.evaluate(moved, [step, at, shown]) == becomes
