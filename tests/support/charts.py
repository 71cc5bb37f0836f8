"""Looking into the charts of a page."""

from __future__ import annotations

from playwright.sync_api import Page

DATA = "name => document.querySelector(`[id*='\"${name}\"'] .js-plotly-plot`)"
LENGTH = f"name => ({DATA})(name)?.data?.[0]?.x?.length ?? 0"
RANGE = f"name => ({DATA})(name)._fullLayout.xaxis.range.map(Number)"

# The page's own policy forbids `eval`, which Playwright's wait_for_function needs between frames.
WAIT = """
([chart, least]) => new Promise((resolve, reject) => {
  const stop = performance.now() + 120_000;
  const look = () => {
    const plot = document.querySelector(`[id*='"${chart}"'] .js-plotly-plot`);
    const points = plot?.data?.[0]?.x?.length ?? 0;
    if (points >= least) resolve(points);
    else if (performance.now() > stop) reject(new Error(`${chart} has ${points} points`));
    else requestAnimationFrame(look);
  };
  look();
})
"""


def wait_for_points(page: Page, chart: str, least: int) -> int:
    """Wait until the first trace of a chart has at least so many points; returns how many."""
    return int(page.evaluate(WAIT, [chart, least]))


def wait_for_length(page: Page, name: str, length: int) -> None:
    """Wait until the first trace of a chart has just so many points."""
    page.wait_for_function(f"([name, length]) => ({LENGTH})(name) == length", arg=[name, length])


def scroll_to(page: Page, section: str) -> None:
    """Bring a part of a run's page into sight, once its charts are there: only then is it drawn."""
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    page.locator(f"[data-section={section}]").evaluate("section => section.scrollIntoView()")
