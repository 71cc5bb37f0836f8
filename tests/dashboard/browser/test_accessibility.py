"""The findings of axe-core on every page in both themes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from htga_server.http.server import Server
from tests.support.charts import scroll_to
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

# Dash's components get these as soon as they are drawn.
UNNAMED = (".dash-slider-thumb:not([aria-label])", ".dash-dropdown-focus-target[tabindex='0']")
PAGES = {
    "runs": ("/", ".ag-row"),
    "run": ("/run/{}", "[id*='\"metric-0\"'] .main-svg"),
    "compare": ("/compare?runs={}", "[id*='\"compare-2\"'] .main-svg"),
    "experiments": ("/experiments", "[id*='\"forest\"'] .main-svg"),
    "health": ("/health", "#rules li"),
    "query": ("/query?sql=SELECT+run,step+FROM+steps+LIMIT+9", ".ag-row"),
    "missing": ("/run/00000000-0000-0000-0000-000000000000", "h1"),
}

SECTIONS = (("snapshot", "hill"), ("layers", "layers"))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_serious_fault_for_those_who_see_or_point_otherwise(
    page: Page,
    dashboard: Server,
    register: Callable[..., str],
    send: Callable[..., None],
    name: str,
    theme: str,
) -> None:
    run_id = register(dashboard, config={"lr": 0.1}, tags=["a"], group="g", notes="n")
    send(dashboard, run_id, probe_rows(range(30)))
    send(dashboard, run_id, [{"step": 0, "layer": "fc", "alpha_hat": 1.5, "grad_norm": 0.5}])
    for variant in ("sgd", "htga"):
        one = register(dashboard, config={"variant": variant, "seed": 0}, tags=["study:tails"])
        send(dashboard, one, probe_rows(range(3)))
    rule = {"project": "digits", "name": "r", "kind": "below", "key": "alpha_bar", "threshold": 1}
    assert page.request.post(f"{dashboard.url}/api/v1/rules", data=rule).ok
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    path, drawn = PAGES[name]
    page.goto(dashboard.url + path.format(run_id))
    page.locator(drawn).first.wait_for()
    for section, graph in SECTIONS if name == "run" else ():
        scroll_to(page, section)
        page.locator(f"[id*='\"{graph}\"'] .main-svg").first.wait_for()
    for unnamed in UNNAMED:
        expect(page.locator(unnamed)).to_have_count(0)
    violations = Axe().run(page).response["violations"]
    serious = [
        (fault["id"], node["target"], node["failureSummary"])
        for fault in violations
        if fault["impact"] in {"serious", "critical"}
        for node in fault["nodes"]
    ]
    assert serious == []
