"""A browser tab, and waiting for what it paints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page

# Resolves with the time at which `condition` holds for `plot`, a chart, and `line`, the last trace
# of that name, since a curve shares its name with the line behind it. Playwright's own waiting
# polls at growing intervals, in the end twice a second.
UNTIL = """
([chart, name, condition]) => new Promise((resolve, reject) => {
  const ready = new Function("plot", "line", `return ${condition}`);
  const stop = performance.now() + 60_000;
  const tick = () => {
    const plot = document.querySelector(`[id*='"${chart}"'] .js-plotly-plot`);
    const line = plot?.data?.findLast((trace) => trace.name === name);
    if (line?.x && ready(plot, line)) resolve(performance.now());
    else if (performance.now() < stop) requestAnimationFrame(tick);
    else reject(new Error(`${chart}, ${name}: no ${condition} in a minute; it has the traces ` +
      JSON.stringify(plot?.data?.map(({ name, x }) => [name, x?.length, x?.at(-1)]))));
  };
  tick();
})
"""
# Resolves with the milliseconds from the start of the navigation to the frame after the one that
# has the element, which is when it is painted.
PAINTED = """
(selector) => new Promise((resolve, reject) => {
  const tick = (now) => {
    if (document.querySelector(selector))
      requestAnimationFrame(() => resolve(performance.now()));
    else if (now < 60_000) requestAnimationFrame(tick);
    else reject(new Error(`no ${selector} in a minute`));
  };
  tick(0);
})
"""
CHART = ".js-plotly-plot .main-svg .lines"
ROW = ".ag-row .run-link"
TAIL = ("tail", "alpha_bar")
"""A chart and a line in it."""

Rows = Iterator[tuple[str, str, str]]
"""Name, measured value and budget."""


@contextmanager
def tab(browser: Browser, **more: Any) -> Iterator[Page]:
    """A page with an empty cache."""
    more |= {"viewport": {"width": 1440, "height": 900}}
    context = browser.new_context(bypass_csp=True, **more)
    yield context.new_page()
    context.close()


def until_drawn(page: Page, address: str, what: str = CHART) -> float:
    """Seconds from the request until the first chart, or another element, is painted."""
    page.goto(address, wait_until="commit")
    return float(page.evaluate(PAINTED, what)) / 1e3


def received(page: Page, address: str, what: str) -> int:
    """Bytes received for a page, headers included, until it is drawn and idle."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    came: list[int] = []
    session.on("Network.loadingFinished", lambda said: came.append(int(said["encodedDataLength"])))
    until_drawn(page, address, what)
    page.wait_for_timeout(3_000)
    session.detach()
    return sum(came)


def watch_for(chart: str, name: str, condition: str) -> str:
    """A script that stores in `window.seen` the promise of `UNTIL` for a condition."""
    return f"() => {{ window.seen = ({UNTIL})({json.dumps([chart, name, condition])}); }}"
