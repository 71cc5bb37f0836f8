"""The dashboard by keys alone, and a run taken away as a file: in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from htga_server.http.server import Server
from tests.support.charts import wait_for_length
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

Register = Callable[..., str]
Send = Callable[..., None]


def test_a_question_mark_lists_the_keys_and_the_pages_are_two_keys_away(
    watched: Page, dashboard: Server
) -> None:
    watched.goto(dashboard.url)
    watched.get_by_text("No runs yet").wait_for()
    watched.keyboard.press("?")
    expect(watched.get_by_role("dialog", name="Help")).to_be_visible()
    watched.keyboard.press("Escape")
    expect(watched.locator("dialog[open]")).to_have_count(0)
    for key, title in {"h": "Health", "q": "Query", "e": "Experiments", "c": "Compare"}.items():
        watched.keyboard.press("g")
        watched.keyboard.press(key)
        watched.get_by_role("heading", name=title, exact=True).wait_for()


def test_runs_are_found_marked_and_opened_by_key(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    for name in ("old", "new"):
        send(dashboard, register(dashboard, name=name), probe_rows(range(30)))
    watched.goto(dashboard.url)
    expect(watched.locator(".ag-row .run-link")).to_have_text(["new", "old"])
    watched.keyboard.press("/")
    watched.keyboard.type("cjx?")
    expect(watched.get_by_label("Search")).to_have_value("cjx?")
    expect(watched.locator("#runs-count")).to_have_text("0 of 2 runs")
    watched.get_by_label("Search").fill("")
    watched.keyboard.press("Escape")
    expect(watched.locator(".ag-row .run-link")).to_have_text(["new", "old"])
    for key in ("j", "x", "j", "j", "x", "k"):
        watched.keyboard.press(key)
    expect(watched.locator("#runs-compare")).to_have_text("Compare 2")
    watched.keyboard.press("Enter")
    expect(watched.locator("h1")).to_have_text("new")
    watched.locator("#snapshot-caption").get_by_text("step 29").wait_for()
    watched.keyboard.press("[")
    watched.locator("#snapshot-caption").get_by_text("step 28").wait_for()
    watched.keyboard.press("e")
    expect(watched.get_by_role("dialog", name="Edit this run")).to_be_visible()


def test_a_run_is_taken_away_as_a_file_that_opens_by_itself(
    watched: Page, dashboard: Server, register: Register, send: Send, tmp_path: Path
) -> None:
    run_id = register(dashboard, name="<img src=x onerror=alert(1)>", notes="</script>")
    send(dashboard, run_id, probe_rows(range(30)))
    watched.goto(f"{dashboard.url}/run/{run_id}")
    wait_for_length(watched, "tail", 30)
    with watched.expect_download() as taken:
        watched.get_by_role("button", name="Report").click()
    file = tmp_path / "report.html"
    taken.value.save_as(file)
    assert taken.value.suggested_filename == f"htga-{run_id}.html"
    watched.goto(file.as_uri())
    expect(watched.locator("h1")).to_have_text("<img src=x onerror=alert(1)>")
    watched.locator("#chart-0 .main-svg").first.wait_for()
    assert watched.locator("img").count() == 0
