"""The dashboard: in a real Chromium, on a real collector."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import FloatRect, Page, expect

from htga_dashboard.app import create_app
from htga_dashboard.source.source import Source
from htga_server.http.server import Server
from tests.support.charts import DATA, LENGTH, RANGE, wait_for_length
from tests.support.dashboard import dashboard_on
from tests.support.rows import probe_rows as rows

pytestmark = pytest.mark.browser

Register = Callable[..., str]
Send = Callable[..., None]

HOSTILE = "<img src=x onerror=alert(1)>, <b>50 %"


STEPS = "() => new URLSearchParams(location.search).get('steps').split('-').map(Number)"


def drag(page: Page, chart: str) -> FloatRect:
    """Zoom a chart to a part of its steps; return its position."""
    plot = page.locator(f"[id*='\"{chart}\"'] .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 120, steps=5)
    page.mouse.up()
    return box


def wait_for_stretch(page: Page, chart: str) -> None:
    """Wait until a chart shows the steps of the address."""
    page.wait_for_function(
        f"name => location.search.includes('steps') && ({RANGE})(name)[0] == ({STEPS})()[0]",
        arg=chart,
    )


def test_a_run_grows_on_the_page_and_the_zoom_stays(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, rows(range(100)))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    for name in ("tail", "gamma", "norm", "variance", "metric-0"):
        wait_for_length(watched, name, 100)
    expect(watched.locator("#live")).to_have_text("live · step 99")

    box = drag(watched, "norm")
    wait_for_stretch(watched, "tail")
    first, last = watched.evaluate(STEPS)
    assert 10 < first < last < 80
    wait_for_length(watched, "norm", last - first + 1)
    for name in ("tail", "norm", "heat", "metric-0"):
        assert watched.evaluate(RANGE, name) == [first, last]
    expect(watched.locator("#run-caption")).to_have_text(
        f"{last - first + 1} steps, each of them drawn"
    )

    send(dashboard, run_id, rows(range(100, 130)))
    expect(watched.locator("#live")).to_have_text("live · step 129")
    expect(watched.locator("#run-readings")).to_contain_text("129")
    assert watched.evaluate(RANGE, "norm") == [first, last]

    watched.get_by_title("Dark theme").click()
    watched.wait_for_function(f"() => ({DATA})('norm').layout.paper_bgcolor == '#161d28'")
    assert watched.evaluate(RANGE, "norm") == [first, last]
    watched.mouse.dblclick(box["x"] + 100, box["y"] + 100)
    wait_for_length(watched, "norm", 130)
    for name in ("norm", "tail"):
        wait_for_length(watched, name, 130)
    assert "steps" not in watched.url
    send(dashboard, run_id, rows(range(130, 140)))
    wait_for_length(watched, "norm", 140)


def test_a_stretch_of_steps_is_an_address_and_two_numbers(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, rows(range(100)))
    watched.goto(f"{dashboard.url}/run/{run_id}?steps=20-69")
    wait_for_length(watched, "norm", 50)
    expect(watched.locator("#run-first")).to_have_value("20")
    watched.locator("#run-last").fill("nonsense")
    watched.locator("#run-last").press("Enter")
    watched.locator("#run-last").fill("29")
    watched.locator("#run-last").press("Enter")
    wait_for_length(watched, "norm", 10)
    assert watched.evaluate(STEPS) == [20, 29]
    watched.get_by_role("button", name="All steps").click()
    wait_for_length(watched, "norm", 100)
    expect(watched.locator("#run-first")).to_have_value("")
    assert watched.url == f"{dashboard.url}/run/{run_id}"


def test_a_graph_out_of_sight_catches_up_when_it_is_scrolled_to(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, rows(range(100)))
    watched.set_viewport_size({"width": 390, "height": 600})
    watched.goto(f"{dashboard.url}/run/{run_id}")
    wait_for_length(watched, "metric-0", 100)
    watched.locator("[id*='\"tail\"']").scroll_into_view_if_needed()
    for start in (100, 110):
        send(dashboard, run_id, rows(range(start, start + 10)))
        wait_for_length(watched, "tail", start + 10)
    assert watched.evaluate(LENGTH, "metric-0") == 100
    watched.locator("[id*='\"metric-0\"']").scroll_into_view_if_needed()
    wait_for_length(watched, "metric-0", 120)


def test_the_heat_map_gains_columns_and_the_end_of_a_run_is_shown(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, rows(range(100)))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    wait_for_length(watched, "heat", 100)
    send(dashboard, run_id, rows(range(100, 110)))
    wait_for_length(watched, "tail", 110)
    send(dashboard, run_id, rows(range(110, 120)))
    watched.wait_for_function(f"() => ({LENGTH})('heat') >= 110")
    finish = {"state": "finished", "logged": 120}
    url = f"{dashboard.url}/api/v1/runs/{run_id}/finish"
    assert watched.request.post(url, data=finish).ok
    expect(watched.locator("#run-heading")).to_contain_text("finished")
    expect(watched.locator("#live")).to_have_text("finished · step 119")
    wait_for_length(watched, "heat", 120)


def test_a_run_is_waited_for_and_drawn_from_its_first_step(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    watched.goto(f"{dashboard.url}/run/{run_id}")
    watched.get_by_text("Waiting for the first step").wait_for()
    expect(watched.locator("#live")).to_have_text("waiting")
    send(dashboard, run_id, rows(range(1)))
    wait_for_length(watched, "tail", 1)
    wait_for_length(watched, "norm", 1)
    assert watched.evaluate(f"() => ({DATA})('norm').data[1].mode") == "lines+markers"


def test_what_is_not_finite_is_a_gap_with_a_mark(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, rows(range(3)))
    send(dashboard, run_id, rows(range(3, 5), grad_norm=math.nan))
    send(dashboard, run_id, rows(range(5, 6), grad_norm=math.inf))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    wait_for_length(watched, "norm", 6)
    # After them comes the event that the collector makes of it.
    _, line, marks, *_ = watched.evaluate(f"() => ({DATA})('norm').data")
    assert line["y"][3:] == [None, None, None]
    assert marks["x"] == [3, 4, 5]
    assert marks["customdata"][0] == "grad_norm: NaN"
    expect(watched.locator("[id*='\"norm\"'] .points path")).to_have_count(7)


def test_names_that_are_markup_are_shown_as_text(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(
        dashboard, name=HOSTILE, project=HOSTILE, group=HOSTILE, tags=[HOSTILE], notes=HOSTILE
    )
    send(dashboard, run_id, rows(range(3), metrics=[(HOSTILE, 1.0)]))
    watched.goto(dashboard.url)
    link = watched.get_by_role("link", name=HOSTILE)
    link.wait_for()
    assert watched.locator("img, .ag-cell b").count() == 0
    link.click()
    wait_for_length(watched, "metric-0", 3)
    expect(watched.locator("h1")).to_have_text(HOSTILE)
    expect(watched.locator(".card h2").get_by_text(HOSTILE)).to_be_visible()
    watched.locator("[id*='\"metric-0\"'] .nsewdrag").first.hover()
    watched.locator("[id*='\"metric-0\"'] .hoverlayer text").first.wait_for()
    assert watched.locator("img").count() == 0
    assert watched.title() == f"{HOSTILE} · HTGA"


def test_the_empty_table_says_what_to_do_and_fills_itself(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    watched.goto(dashboard.url)
    watched.get_by_text("No runs yet").wait_for()
    expect(watched.locator("#snippet")).to_contain_text(f'url="{dashboard.url}"')
    expect(watched.locator("#live")).to_have_text("live")
    run_id = register(dashboard, name="first")
    watched.get_by_role("link", name="first").wait_for()
    expect(watched.get_by_text("No runs yet")).to_be_hidden()
    send(dashboard, run_id, rows(range(7)))
    expect(watched.locator(".ag-row [col-id=step]")).to_have_text("6")
    expect(watched.locator(".ag-row [col-id=alpha_bar]")).to_have_text("1.5")


def test_order_and_search_of_the_table_outlive_fresh_values(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    ids = {name: register(dashboard, name=name) for name in ("low", "high", "other")}
    for name, value in (("low", 0.2), ("high", 0.9), ("other", 0.5)):
        send(dashboard, ids[name], rows(range(1), grad_norm=value))
    watched.goto(dashboard.url)
    names = watched.locator(".ag-row:visible [col-id=name]")
    watched.get_by_text("grad_norm").click()
    expect(watched.locator(".ag-row[row-index='0'] [col-id=name]")).to_have_text("low")
    send(dashboard, ids["low"], rows(range(1, 2), grad_norm=5.0))
    expect(watched.locator(".ag-row[row-index='2'] [col-id=name]")).to_have_text("low")
    watched.get_by_label("Search").fill("hig")
    expect(names).to_have_text(["high"])
    send(dashboard, ids["high"], rows(range(1, 3)))
    expect(watched.locator(".ag-row [col-id=step]")).to_have_text("2")
    expect(names).to_have_text(["high"])
    watched.get_by_label("Search").fill("nothing like it")
    expect(watched.get_by_text("No run matches the search")).to_be_visible()


def test_the_theme_follows_the_system_until_it_is_chosen(watched: Page, dashboard: Server) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    watched.goto(dashboard.url)
    watched.wait_for_function(f"() => {ground} == 'rgb(245, 247, 250)'")
    watched.emulate_media(color_scheme="dark")
    watched.wait_for_function(f"() => {ground} == 'rgb(13, 19, 27)'")
    watched.get_by_title("Light theme").click()
    watched.wait_for_function(f"() => {ground} == 'rgb(245, 247, 250)'")
    watched.reload()
    expect(watched.get_by_title("Light theme")).to_have_attribute("aria-pressed", "true")
    assert watched.evaluate(ground) == "rgb(245, 247, 250)"


def test_a_narrow_screen_needs_no_sideways_scrolling(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard, name="a-name-without-any-space-" * 6, tags=["x" * 200])
    send(dashboard, run_id, rows(range(3)))
    watched.set_viewport_size({"width": 390, "height": 844})
    width = "document.documentElement.scrollWidth"
    watched.goto(f"{dashboard.url}/run/{run_id}")
    wait_for_length(watched, "metric-0", 3)
    assert watched.evaluate(width) == 390
    watched.goto(dashboard.url)
    expect(watched.locator(".ag-row [col-id=alpha_bar]")).to_be_in_viewport()
    expect(watched.locator(".ag-row [col-id=project]")).to_have_count(0)
    assert watched.evaluate(width) == 390


def test_a_missing_page_leads_back(watched: Page, dashboard: Server) -> None:
    watched.goto(f"{dashboard.url}/run/00000000-0000-0000-0000-000000000000")
    watched.get_by_role("heading", name="No such run").wait_for()
    watched.get_by_role("link", name="All runs").click()
    watched.get_by_text("No runs yet").wait_for()


def test_the_latest_run_is_one_address_away(
    watched: Page, dashboard: Server, register: Register
) -> None:
    run_id = register(dashboard, name="newest")
    watched.goto(f"{dashboard.url}/run/latest")
    watched.get_by_role("heading", name="newest").wait_for()
    assert watched.url == f"{dashboard.url}/run/{run_id}"


def test_after_a_restart_of_the_server_the_page_goes_on_by_itself(
    page: Page, tmp_path: Path, register: Register, send: Send
) -> None:
    with dashboard_on(tmp_path, port=0).background() as server:
        run_id = register(server)
        send(server, run_id, rows(range(100)))
        page.goto(f"{server.url}/run/{run_id}")
        wait_for_length(page, "tail", 100)
    expect(page.locator("#live")).to_have_text("reconnecting")
    with dashboard_on(tmp_path, port=server.port).background() as server:
        expect(page.locator("#live")).to_have_text("live · step 99", timeout=30_000)
        send(server, run_id, rows(range(100, 110)))
        wait_for_length(page, "tail", 110)


def test_a_page_without_its_collector_comes_back_with_it(
    page: Page, tmp_path: Path, register: Register
) -> None:
    with dashboard_on(tmp_path, port=0).background() as collector:
        register(collector, name="quiet-maple")
    client = httpx2.AsyncClient(base_url=collector.url)
    with Server(create_app(Source(client)).server).background() as alone:
        page.goto(alone.url)
        page.get_by_role("heading", name="The collector does not answer").wait_for()
        with dashboard_on(tmp_path, port=collector.port).background():
            page.get_by_role("link", name="quiet-maple").wait_for()


def test_more_tabs_than_a_browser_has_connections_are_all_live(
    page: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, rows(range(3)))
    tabs = [page.context.new_page() for _ in range(8)]
    for tab in tabs:
        tab.goto(f"{dashboard.url}/run/{run_id}")
        expect(tab.locator("#live")).to_have_text("live · step 2")
    tabs[0].close()
    send(dashboard, run_id, rows(range(3, 5)))
    for tab in tabs[1:]:
        expect(tab.locator("#live")).to_have_text("live · step 4")


def test_events_of_a_run_are_listed_live_the_latest_first(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard)
    send(dashboard, run_id, rows(range(100)))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    wait_for_length(watched, "tail", 100)
    listed = watched.locator("#run-events li")
    expect(listed).to_have_count(0)
    for step, title in ((100, HOSTILE), (101, "loss is high")):
        said = {"kind": "alert", "level": "warning", "title": title, "text": "look"}
        send(dashboard, run_id, [{"step": step, "event": json.dumps(said)}])
    expect(listed).to_have_count(2)
    expect(listed.first).to_contain_text("step 101")
    expect(listed.nth(1)).to_contain_text(HOSTILE)
    watched.reload()
    expect(listed).to_have_count(2)
    assert watched.locator("main img").count() == 0
