"""The collector's health and its alert rules: in a real Chromium, on a real collector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

from htga_client.wire import PREFIX
from htga_server.http.server import Server
from tests.support.dashboard import dashboard_on
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

Register = Callable[..., str]
Send = Callable[..., None]

HOSTILE = "<img src=x onerror=alert(1)>"


def test_the_page_shows_the_collectors_status_and_refreshes_it(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    watched.clock.install()
    run_id = register(dashboard)
    watched.goto(f"{dashboard.url}/health")
    readings = watched.locator("#health-readings")
    expect(readings).to_contain_text("sqlite")
    send(dashboard, run_id, probe_rows(range(7)))
    watched.clock.run_for(6000)
    expect(readings).to_contain_text("rows7")
    expect(watched.get_by_text("only this machine is answered")).to_be_visible()
    watched.set_viewport_size({"width": 390, "height": 844})
    assert watched.evaluate("document.documentElement.scrollWidth") == 390


def test_a_rule_is_tried_on_past_runs_saved_changed_and_deleted(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    run_id = register(dashboard, name=HOSTILE, project=HOSTILE)
    send(dashboard, run_id, probe_rows(range(10), alpha_bar=2.0))
    send(dashboard, run_id, probe_rows(range(10, 20), alpha_bar=1.0))
    watched.goto(f"{dashboard.url}/health")
    watched.get_by_text("No rule yet").wait_for()
    watched.get_by_role("button", name="Try on past runs").click()
    expect(watched.get_by_text("It would have fired once in 1 run.")).to_be_visible()
    there = watched.locator("#rule-firings a")
    expect(there).to_contain_text(f"{HOSTILE}, step 14")
    assert there.get_attribute("href") == f"/run/{run_id}?steps=0-64"

    watched.get_by_label("Name").fill(HOSTILE)
    watched.get_by_role("button", name="Save").click()
    listed = watched.locator("#rules li")
    expect(listed).to_contain_text("alpha_bar is below 1.2, 5 values in a row")
    assert watched.locator("main img").count() == 0

    watched.reload()
    listed.get_by_role("button", name="Edit").press("Enter")
    expect(watched.get_by_label("Name")).to_have_value(HOSTILE)
    watched.get_by_label("Threshold").fill("0.5")
    watched.get_by_role("button", name="Save").click()
    expect(listed).to_contain_text("alpha_bar is below 0.5")
    (rule,) = httpx2.get(f"{dashboard.url}{PREFIX}/rules").json()["items"]
    assert (rule["threshold"], rule["project"]) == (0.5, HOSTILE)

    listed.get_by_role("button", name="Delete").click()
    expect(listed).to_have_count(0)
    expect(watched.locator("#rule-message")).to_contain_text("Save makes it again")
    watched.get_by_role("button", name="Save").click()
    expect(listed).to_have_count(1)


def test_an_invalid_rule_is_explained(watched: Page, dashboard: Server, register: Register) -> None:
    register(dashboard)
    watched.goto(f"{dashboard.url}/health")
    watched.get_by_label("Threshold").fill("much")
    watched.get_by_role("button", name="Save").click()
    expect(watched.locator("#rule-message")).to_contain_text("must be a number, not 'much'")
    watched.get_by_label("Threshold").fill("1")
    watched.get_by_label("Webhook, if any").fill("ftp://example.org")
    watched.get_by_role("button", name="Save").click()
    expect(watched.locator("#rule-message")).to_contain_text("Not saved.")
    assert httpx2.get(f"{dashboard.url}{PREFIX}/rules").json()["items"] == []


def test_without_its_collector_the_page_keeps_its_values_and_says_why(
    page: Page, tmp_path: Path
) -> None:
    from htga_dashboard.app import create_app  # noqa: PLC0415
    from htga_dashboard.source.source import Source  # noqa: PLC0415

    page.clock.install()
    with dashboard_on(tmp_path, port=0).background() as collector:
        source = Source(httpx2.AsyncClient(base_url=collector.url))
        alone = Server(create_app(source).server)
        with alone.background():
            page.goto(f"{alone.url}/health")
            page.locator("#health-readings dd").first.wait_for()
            collector.stop()
            page.clock.run_for(6000)
            expect(page.locator("#health-as-of")).to_contain_text("does not answer")
            expect(page.locator("#health-readings")).to_contain_text("sqlite")
