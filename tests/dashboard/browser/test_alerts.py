"""The bell: in a real Chromium, on a real collector."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from htga_server.http.server import Server
from tests.support.charts import scroll_to
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"


def event(step: int, level: str, title: str) -> dict[str, object]:
    said = {"kind": "alert", "level": level, "title": title, "text": HOSTILE}
    return {"step": step, "event": json.dumps(said)}


def test_unseen_alerts_are_counted_listed_and_lead_to_their_step(
    watched: Page,
    dashboard: Server,
    register: Callable[..., str],
    send: Callable[..., None],
) -> None:
    run_id = register(dashboard, name="maple")
    events = [event(7, "error", "burst"), event(8, "warning", HOSTILE), event(9, "info", "epoch")]
    send(dashboard, run_id, [*probe_rows(range(20)), *events])
    watched.goto(dashboard.url)
    bell = watched.locator("#bell")
    expect(bell).to_have_accessible_name("Alerts, 2 new")
    bell.click()
    entries = watched.locator("#alerts-list li")
    expect(entries).to_have_count(2)
    expect(watched.locator("#alerts-list")).to_contain_text(HOSTILE)
    assert watched.locator("#alerts-list img").count() == 0
    watched.get_by_role("link", name="burst").click()
    expect(watched.locator("h1")).to_have_text("maple")
    assert watched.url == f"{dashboard.url}/run/{run_id}?at=7"
    scroll_to(watched, "snapshot")
    expect(watched.locator("#snapshot-caption")).to_contain_text("step 7")

    watched.goto(dashboard.url)
    expect(bell).to_have_accessible_name("Alerts")
    send(dashboard, run_id, [event(21, "error", "again")])
    expect(bell).to_have_accessible_name("Alerts, 1 new", timeout=30_000)
