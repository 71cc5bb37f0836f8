"""The page of a study: in a real Chromium, on a real collector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from htga_server.http.server import Server
from tests.support.charts import DATA
from tests.support.rows import probe_rows

pytestmark = pytest.mark.browser

Register = Callable[..., str]
Send = Callable[..., None]

HOSTILE = "<img src=x onerror=alert(1)>"


def test_a_study_is_found_compared_and_taken_away(
    watched: Page, dashboard: Server, register: Register, send: Send
) -> None:
    for variant, losses in {"sgd": (1.0, 1.2, 1.1), HOSTILE: (0.5, 0.6)}.items():
        for seed, loss in enumerate(losses):
            config = {"variant": variant, "seed": seed}
            run_id = register(dashboard, config=config, tags=["study:tails"])
            send(dashboard, run_id, probe_rows(range(3), metrics=[("loss", loss)]))
    watched.goto(f"{dashboard.url}/experiments")
    hostile, sgd = (watched.locator("tbody tr").nth(at) for at in (0, 1))
    expect(hostile).to_contain_text(HOSTILE)
    expect(hostile).to_contain_text("2/3")
    expect(hostile.locator("b")).to_have_text("0.55 ± 0.64")
    watched.locator("#study-baseline").press("Enter")
    watched.get_by_role("option", name="sgd").click()
    expect(sgd).to_contain_text("baseline")
    expect(hostile).to_contain_text("-0.55 ± 0.64")
    forest = f"() => ({DATA})('forest')?.data?.[0]?.error_x?.array?.[0]"
    watched.wait_for_function(f"() => Math.abs(({forest})() - 0.6353) < 1e-3")
    assert "baseline=sgd" in watched.url
    assert watched.locator("main img").count() == 0

    with watched.expect_download() as taken:
        watched.get_by_role("button", name="CSV").click()
    assert Path(taken.value.path()).read_text().count("\n") == 3
    with watched.expect_download() as taken:
        watched.get_by_role("button", name="Markdown").click()
    assert "| baseline |" in Path(taken.value.path()).read_text()

    watched.goto(f"{dashboard.url}/experiments?baseline=sgd")
    expect(sgd).to_contain_text("baseline")
    config = {"variant": "sgd", "seed": 3}
    register(dashboard, config=config, tags=["study:tails"])
    expect(sgd).to_contain_text("4/4")
    watched.set_viewport_size({"width": 390, "height": 844})
    assert watched.evaluate("document.documentElement.scrollWidth") == 390


def test_without_a_study_the_page_says_how_to_make_one(
    watched: Page, dashboard: Server, register: Register
) -> None:
    register(dashboard, tags=["study"])
    watched.goto(f"{dashboard.url}/experiments")
    watched.get_by_role("heading", name="No study yet").wait_for()
    expect(watched.get_by_role("button", name="CSV")).to_be_hidden()


def test_a_study_without_runs_says_so(watched: Page, dashboard: Server) -> None:
    watched.goto(f"{dashboard.url}/experiments?study=<b>")
    expect(watched.get_by_text("No run has the tag study:<b>.")).to_be_visible()
