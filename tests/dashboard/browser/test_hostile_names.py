"""Names that are long, markup, format strings or turn the direction of writing, on every page."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote, urlencode

import httpx2
import pytest
from playwright.sync_api import Page, expect

from htga_client.wire import PREFIX
from htga_server.http.server import Server
from tests.support.charts import scroll_to, wait_for_length
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

MARKUP = "<img src=x onerror=alert(1)>{0}%s${alert(1)}\N{RIGHT-TO-LEFT OVERRIDE}"
LONG = MARKUP + "m" * (1000 - len(MARKUP))  # of what the collector takes as a name, the longest
QUESTION = urlencode({"sql": "SELECT * FROM runs"})
TEXT = MARKUP + "m" * (4096 - len(MARKUP))


def test_no_page_reads_a_name_as_anything_but_letters_or_grows_beyond_the_screen(
    watched: Page,
    dashboard: Server,
    register: Callable[..., str],
    send: Callable[..., None],
) -> None:
    said = {
        "name": LONG,
        "project": MARKUP,
        "group": MARKUP,
        "notes": TEXT,
        "tags": [f"study:{MARKUP}", MARKUP],
    }
    runs = []
    for seed in range(2):
        config = {MARKUP: TEXT + str(seed), "variant": MARKUP + str(seed), "seed": seed}
        run_id = register(dashboard, **said, config=config)
        event = {"kind": "alert", "level": "error", "title": MARKUP, "text": TEXT}
        metrics = [{"step": step, "metrics": [(MARKUP, 1.0 + step)]} for step in range(5)]
        layer = [{"step": 4, "layer": LONG, "alpha_hat": 1.5, "grad_norm": 1.0, "n_nonfinite": 0}]
        rows = [*probe_rows(range(5)), *metrics, *layer, {"step": 4, "event": json.dumps(event)}]
        send(dashboard, run_id, rows)
        runs.append(run_id)
    rule: dict[str, object] = {
        "project": MARKUP,
        "name": MARKUP,
        "kind": "below",
        "key": "alpha_bar",
    }
    rule |= {"threshold": 1.0, "steps": 1, "level": "error"}
    httpx2.post(f"{dashboard.url}{PREFIX}/rules", json=rule).raise_for_status()

    compared = urlencode({"runs": ",".join(runs), "key": MARKUP, "by": MARKUP})
    watched.set_viewport_size({"width": 390, "height": 844})
    for path, place in (
        ("/", ".run-link"),
        (f"/run/{runs[0]}", "h1"),
        (f"/compare?{compared}", "#compare-legend"),
        (f"/experiments?study={quote(MARKUP)}", "table"),
        (f"/query?{QUESTION}", "main .ag-root"),
        ("/health", "#rules"),
    ):
        watched.goto(dashboard.url + path)
        expect(watched.locator(place).first).to_contain_text("<img src=x onerror=alert(1)>{0}%s")
        if path.startswith("/run/"):
            wait_for_length(watched, "metric-0", 5)
            for section in ("snapshot", "layers"):
                scroll_to(watched, section)
                expect(watched.locator(f"#{section}")).to_be_visible()
        if path.startswith("/compare"):
            wait_for_length(watched, "compare-0", 10)
        watched.locator("#bell").click()
        expect(watched.locator("#alerts-list li.new, #alerts-list a")).not_to_have_count(0)
        watched.keyboard.press("Escape")
        assert watched.locator("main img, dialog img").count() == 0, path
        assert watched.evaluate("document.documentElement.scrollWidth") == 390, path
