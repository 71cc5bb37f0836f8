"""Actions on the page of a run, in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2
import pytest
from playwright.sync_api import Page, expect

from htga_client.wire import PREFIX
from htga_server.http.server import Server
from tests.support.charts import DATA, scroll_to, wait_for_length
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

Register = Callable[..., str]
Send = Callable[..., None]

HOSTILE = "<img src=x onerror=alert(1)>"
RIDGES = f"({DATA})('ridge')?.data?.length"
STEP_MARK = f"name => ({DATA})(name).layout.shapes?.find((shape) => shape.name == 'step')?.x0"


def test_name_group_tags_and_notes_are_edited(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard, name="maple", tags=["a"], notes="old")
    send(dashboard, run_id, probe_rows(range(3)))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    watched.get_by_role("button", name="Edit").press("Enter")
    watched.get_by_label("Name", exact=True).fill(HOSTILE)
    watched.get_by_label("Tags").fill("a, b")
    watched.get_by_label("Notes").fill(f"{HOSTILE}\nsecond line")
    watched.get_by_role("button", name="Save").click()
    expect(watched.locator("h1")).to_have_text(HOSTILE)
    expect(watched.locator(".facts .tag")).to_have_text(["a", "b"])
    expect(watched.locator("#run-notes")).to_contain_text("second line")
    expect(watched.locator("dialog[open]")).to_have_count(0)
    assert watched.locator("main img").count() == 0
    run = httpx2.get(f"{dashboard.url}{PREFIX}/runs/{run_id}").json()
    assert (run["name"], run["tags"], run["group"]) == (HOSTILE, ["a", "b"], "")


def test_a_refused_rule_is_explained_and_stays_in_the_form(
    watched: Page, dashboard: Server, register: Register
) -> None:
    run_id = register(dashboard, name="maple")
    watched.goto(f"{dashboard.url}/run/{run_id}")
    watched.get_by_role("button", name="Edit").click()
    watched.get_by_label("Name", exact=True).fill("")
    watched.get_by_role("button", name="Save").click()
    expect(watched.get_by_role("alert")).to_contain_text("Not saved. name must have 1 to 1024")
    watched.keyboard.press("Escape")
    expect(watched.locator("dialog[open]")).to_have_count(0)
    expect(watched.locator("h1")).to_have_text("maple")


def test_a_click_on_a_chart_chooses_the_step_and_all_of_them_mark_it(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, probe_rows(range(100)))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    wait_for_length(watched, "heat", 100)
    assert watched.evaluate(STEP_MARK, "heat") is None
    plot = watched.locator("[id*='\"heat\"'] .nsewdrag").first
    box = plot.bounding_box()
    assert box is not None
    watched.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    watched.locator("[id*='\"heat\"'] .hoverlayer text").first.wait_for()
    watched.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(watched.locator("#snapshot-caption")).to_contain_text("step 49")
    for name in ("heat", "tail"):
        watched.wait_for_function(f"name => ({STEP_MARK})(name) == 49", arg=name)
    watched.get_by_title("Dark theme").click()
    watched.wait_for_function(f"() => ({DATA})('tail').layout.paper_bgcolor == '#161d28'")
    watched.wait_for_function(f"name => ({STEP_MARK})(name) == 49", arg="tail")
    watched.locator("#snapshot-step [role=slider]").press("End")
    watched.wait_for_function(f"name => ({STEP_MARK})(name) === undefined", arg="heat")


def test_events_are_flagged_on_the_charts_live(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, probe_rows(range(100)))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    wait_for_length(watched, "norm", 100)
    said = json.dumps({"kind": "alert", "level": "error", "title": HOSTILE, "text": "look"})
    send(dashboard, run_id, [*probe_rows(range(100, 101)), {"step": 60, "event": said}])
    flags = f"() => ({DATA})('norm').data.find((trace) => trace.name == 'event')?.x"
    watched.wait_for_function(f"() => ({flags})()?.[0] == 60")
    send(dashboard, run_id, probe_rows(range(101, 110)))
    wait_for_length(watched, "norm", 110)
    assert watched.evaluate(flags) == [60]


def test_the_ridgeline_has_a_ridge_for_each_part_of_the_run(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, probe_rows(range(3)))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    scroll_to(watched, "snapshot")
    watched.wait_for_function(f"() => {RIDGES} == 6")
    send(dashboard, run_id, probe_rows(range(3, 5)))
    watched.wait_for_function(f"() => {RIDGES} == 10")
