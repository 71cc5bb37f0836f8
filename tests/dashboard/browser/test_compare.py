"""The page that compares runs: in a real Chromium, on a real collector."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from htga_server.http.server import Server
from tests.support.charts import DATA, RANGE
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

Register = Callable[..., str]
Send = Callable[..., None]

HOSTILE = "<img src=x onerror=alert(1)>, <b>50 %"
LINES = f"name => ({DATA})(name)?.data?.filter((t) => t.hoverinfo !== 'skip').length ?? 0"
LAST = f"name => ({DATA})(name).data[1].x.at(-1)"


def wait_for_lines(page: Page, chart: str, count: int) -> None:
    page.wait_for_function(f"([name, count]) => ({LINES})(name) == count", arg=[chart, count])


def three(server: Server, register: Register, send: Send) -> list[str]:
    """Three runs, two of which have the same learning rate."""
    ids = [
        register(server, name=name, config={"lr": lr, "seed": seed})
        for name, lr, seed in (("one", 0.1, 0), ("two", 0.1, 1), ("three", 0.3, 0))
    ]
    for run_id in ids:
        send(server, run_id, probe_rows(range(80)))
    return ids


def test_runs_marked_in_the_table_are_compared(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    ids = three(dashboard, register, send)
    watched.goto(dashboard.url)
    link = watched.locator("#runs-compare")
    expect(watched.get_by_role("link", name="one")).to_be_visible()
    expect(link).to_be_hidden()
    for place in (0, 2):
        watched.locator(".ag-row input[type=checkbox]").nth(place).check()
    link.click()
    wait_for_lines(watched, "compare-0", 2)
    assert watched.url == f"{dashboard.url}/compare?runs={ids[2]},{ids[0]}"
    expect(watched.locator("#compare-legend li")).to_have_count(2)
    expect(watched.locator("#compare-tables")).to_contain_text("Settings that differ")


def test_the_address_holds_all_settings_and_follows_the_controls(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    ids = three(dashboard, register, send)
    watched.goto(f"{dashboard.url}/compare?runs={','.join(ids)}&key=loss&by=lr&log=1")
    wait_for_lines(watched, "compare-0", 2)
    titles = watched.locator("#compare-charts .card h2")
    expect(titles).to_have_text(["loss", "Survival", "Hill plots"])
    expect(watched.locator("#compare-legend li").first).to_contain_text("lr=0.1")
    expect(watched.locator("#compare-legend li").first).to_contain_text("n = 2")
    assert watched.evaluate(f"() => ({DATA})('compare-0').layout.yaxis.type") == "log"
    watched.locator("#compare-scale").click()
    watched.get_by_role("option", name="linear").click()
    watched.wait_for_function(f"() => ({DATA})('compare-0').layout.yaxis.type != 'log'")
    watched.wait_for_function("() => !location.search.includes('log')")
    address = watched.url
    assert "by=lr" in address
    watched.reload()
    wait_for_lines(watched, "compare-0", 2)
    assert watched.url == address


def test_the_table_has_what_is_drawn_without_scrolling_and_the_rest_is_folded_away(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    ids = three(dashboard, register, send)
    watched.set_viewport_size({"width": 1440, "height": 900})
    watched.goto(f"{dashboard.url}/compare?runs={','.join(ids)}")
    tables = watched.locator("#compare-tables .scroll")
    first, rest = tables.first, tables.last
    expect(first.locator("thead tr").last).to_have_text("runlrseedalpha_bargrad_normloss")
    assert first.evaluate("table => table.scrollWidth <= table.clientWidth")
    expect(rest).to_be_hidden()
    watched.get_by_text("Everything else that was measured").click()
    expect(rest).to_contain_text("alpha_hat")


def test_the_slider_of_smoothing_shows_its_value_while_it_moves(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    ids = three(dashboard, register, send)
    watched.goto(f"{dashboard.url}/compare?runs={','.join(ids)}&smooth=0.6")
    said = watched.locator("[data-label=Smoothing] > span").first
    expect(said).to_have_attribute("data-value", "0.6")
    watched.get_by_role("slider", name="Smoothing").press("ArrowRight")
    expect(said).to_have_attribute("data-value", "0.61")


def test_news_of_other_runs_that_overtakes_a_choice_does_not_undo_it(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    ids = three(dashboard, register, send)
    watched.goto(f"{dashboard.url}/compare?runs={','.join(ids)}&key=loss")
    wait_for_lines(watched, "compare-0", 3)
    watched.evaluate(
        """query => {
            dash_clientside.set_props("compare-query", { data: query });
            dash_clientside.set_props("compare-news", { data: { runs: ["another"], at: 0 } });
        }""",
        f"?runs={ids[0]}&key=loss",
    )
    wait_for_lines(watched, "compare-0", 1)
    expect(watched.locator("#compare-legend li")).to_have_count(1)


def test_a_comparison_grows_with_its_runs_and_keeps_the_zoom(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    ids = three(dashboard, register, send)
    watched.goto(f"{dashboard.url}/compare?runs={ids[0]},{ids[1]}&key=loss")
    wait_for_lines(watched, "compare-0", 2)
    plot = watched.locator("[id*='\"compare-0\"'] .nsewdrag").first
    box = plot.bounding_box()
    assert box is not None
    watched.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 40)
    watched.mouse.down()
    watched.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 120, steps=5)
    watched.mouse.up()
    watched.wait_for_function(f"() => ({RANGE})('compare-0')[1] < 70")
    zoomed = watched.evaluate(RANGE, "compare-0")
    send(dashboard, ids[0], probe_rows(range(80, 120)))
    watched.wait_for_function(f"() => ({LAST})('compare-0') == 119")
    assert watched.evaluate(RANGE, "compare-0") == zoomed


def test_names_that_are_markup_are_letters_in_legend_table_and_label(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    ids = [register(dashboard, name=HOSTILE, config={HOSTILE: i}) for i in (0, 1)]
    for run_id in ids:
        send(dashboard, run_id, probe_rows(range(3), metrics=[(HOSTILE, 1.0)]))
    watched.goto(f"{dashboard.url}/compare?runs={','.join(ids)}")
    wait_for_lines(watched, "compare-2", 2)
    expect(watched.locator("#compare-legend a").first).to_have_text(HOSTILE)
    watched.locator("[id*='\"compare-2\"'] .nsewdrag").first.hover()
    label = watched.locator("[id*='\"compare-2\"'] .hoverlayer .legendtext").first
    expect(label).to_contain_text("<img src=x")
    assert watched.locator("main img").count() == 0


def test_a_group_is_laid_along_the_time_since_its_runs_began(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    ids = [register(dashboard, config={"lr": lr}) for lr in (0.1, 0.1, 0.1, 0.3)]
    for seed, (run_id, every) in enumerate(zip(ids, (1, 7, 10, 1), strict=True)):
        rows = probe_rows(range(0, 301, every), metrics=[("loss", 1.0 + seed)])
        send(dashboard, run_id, [row | {"time": 1.7e9 + 60 * seed + row["step"]} for row in rows])
    watched.goto(
        f"{dashboard.url}/compare?runs={','.join(ids)}&key=loss&by=lr&x=relative&band=range"
    )
    wait_for_lines(watched, "compare-0", 2)
    expect(watched.locator("#compare-legend li").first).to_contain_text("n = 3")
    band, mean, *_ = watched.evaluate(f"() => ({DATA})('compare-0').data")
    assert (mean["x"][0], mean["x"][-1]) == (0, 300)
    assert set(mean["y"][:290]) == {2}
    assert (min(band["y"]), max(band["y"])) == (1, 3)


def test_the_tails_of_the_runs_that_have_one_are_one_picture(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    ids = three(dashboard, register, send)
    ids.append(register(dashboard, name=HOSTILE, config={"lr": 0.1}))
    send(dashboard, ids[3], probe_rows(range(9)))
    bare = register(dashboard, name="bare", config={"lr": 0.1})
    send(dashboard, bare, [{"step": 0, "metrics": [("loss", 1.0)]}])
    watched.goto(f"{dashboard.url}/compare?runs={','.join([*ids, bare])}&key=loss")
    for name in ("compare-survival", "compare-hill"):
        wait_for_lines(watched, name, 4)
        colours = watched.evaluate(f"name => ({DATA})(name).data.map((t) => t.line.color)", name)
        assert len(set(colours)) == 4
    assert watched.locator("main img").count() == 0


def test_runs_that_lack_what_others_have_leave_it_to_them(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    ids = three(dashboard, register, send)
    ids.append(register(dashboard, name="empty", config={"lr": 0.1}))
    send(dashboard, ids[0], [{"step": 9, "metrics": [("accuracy", 0.5)]}])
    watched.goto(f"{dashboard.url}/compare?runs={','.join(ids)}&key=accuracy&key=loss")
    wait_for_lines(watched, "compare-0", 4)
    points = watched.evaluate(f"() => ({DATA})('compare-0').data.map((t) => t.x.length)")
    assert points == [2, 1, 0, 0, 0, 0, 0, 0]
    expect(watched.locator("#compare-legend li")).to_have_count(4)


def test_what_no_run_has_measured_is_named_and_hides_nothing_else(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    runs = ",".join(three(dashboard, register, send))
    watched.goto(f"{dashboard.url}/compare?runs={runs}&key=gone&key=loss")
    wait_for_lines(watched, "compare-0", 3)
    expect(watched.get_by_text("None of these runs has measured gone.")).to_be_visible()
    expect(watched.locator("#compare-keys")).to_contain_text("gone")
    watched.goto(f"{dashboard.url}/compare?runs={runs}&key=gone")
    expect(watched.get_by_text("None of these runs has measured gone.")).to_be_visible()
    expect(watched.locator("#compare-legend li")).to_have_count(0)


def test_a_setting_that_groups_nothing_apart_stays_chosen(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    first, second, _ = three(dashboard, register, send)
    watched.goto(f"{dashboard.url}/compare?runs={first},{second}&key=loss&by=lr")
    wait_for_lines(watched, "compare-0", 1)
    watched.locator("#compare-x").click()
    watched.get_by_role("option", name="relative time").click()
    watched.wait_for_function("() => location.search.includes('x=relative')")
    assert "by=lr" in watched.url
    wait_for_lines(watched, "compare-0", 1)


def test_a_comparison_without_runs_says_what_to_do(watched: Page, dashboard: Server) -> None:
    watched.goto(f"{dashboard.url}/compare")
    expect(watched.get_by_text("Nothing to compare yet")).to_be_visible()
    watched.goto(f"{dashboard.url}/compare?runs=00000000-0000-0000-0000-000000000000")
    gone = watched.get_by_text("Runs of this address that are no longer there: 1")
    expect(gone).to_be_visible()
    expect(watched.get_by_text("Nothing to compare yet")).to_be_visible()
