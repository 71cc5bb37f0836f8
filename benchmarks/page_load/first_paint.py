"""Time until a page is painted, and bytes sent for it."""

from __future__ import annotations

import statistics

import httpx2
from page_load.rows import BATCH, SPIKE, register, send, steps
from page_load.tab import CHART, ROW, UNTIL, Rows, received, tab, until_drawn
from playwright.sync_api import Browser

AFAR = {"x-forwarded-for": "203.0.113.1"}
"""The header that a proxy on this machine adds for a reader on another."""


def load(browser: Browser, url: str) -> Rows:
    """Time to the first chart of a run, with an empty and with a full cache."""
    run = register(url)
    send(url, run, steps(0, 2_000))
    cold, warm = [], []
    for _ in range(5):
        with tab(browser) as page:
            cold.append(until_drawn(page, f"{url}/run/{run}"))
            warm.append(until_drawn(page, f"{url}/run/{run}"))
    yield "first chart, cold cache", f"{statistics.median(cold):.2f} s", "2.5 s"
    yield "first chart, warm cache", f"{statistics.median(warm):.2f} s", "0.8 s"


def wire(browser: Browser, url: str) -> Rows:
    """Bytes sent to another machine for the page of a run and for the table of runs."""
    run = register(url)
    send(url, run, steps(0, 2_000))
    for name, address, what in (("a run", f"{url}/run/{run}", CHART), ("all runs", url, ROW)):
        with tab(browser, extra_http_headers=AFAR) as page:
            sizes = [received(page, address, what) for _ in ("cold", "warm")]
        yield (
            f"sent for {name} to another machine, cold / warm",
            f"{sizes[0] / 1e6:.2f} MB / {sizes[1] / 1e3:.0f} kB",
            "2.0 MB / 150 kB",
        )


def table(browser: Browser, url: str) -> Rows:
    """Time to a table of a thousand runs."""
    with httpx2.Client() as client:
        for _ in range(1_000):
            register(url, client)
    with tab(browser) as page:
        until_drawn(page, url, ROW)
        waits = [until_drawn(page, url, ROW) for _ in range(7)]
    yield (
        "table of 1,000 runs, warm cache",
        f"{statistics.median(waits):.2f} s",
        "0.4 s",
    )


def spike(browser: Browser, url: str) -> Rows:
    """Whether a spike of one step in a million is visible, and time to the first chart."""
    run = register(url)
    for start in range(0, 1_000_000, BATCH):
        rows = steps(start, start + BATCH)
        if start == 600_000:
            rows[1234]["grad_norm"] = SPIKE
        send(url, run, rows)
    with tab(browser) as page:
        seconds = until_drawn(page, f"{url}/run/{run}")
        page.evaluate(UNTIL, ["norm", "grad_norm", "line.x.length > 100"])
        highest = page.evaluate(
            "() => Math.max(...document.querySelector(`[id*='\"norm\"'] .js-plotly-plot`)"
            ".data.filter(({ name }) => name === 'grad_norm').flatMap(({ y }) => y))"
        )
    yield (
        "a spike of one step in 1,000,000, all on screen",
        f"{highest:g} of {SPIKE:g}",
        "all of it",
    )
    yield "first chart of 1,000,000 steps", f"{seconds:.2f} s", "2.5 s"


def compare(browser: Browser, url: str) -> Rows:
    """Time to draw fifty runs of a thousand steps in one chart."""
    runs = [register(url) for _ in range(50)]
    for run in runs:
        send(url, run, steps(0, 1_000))
    waits = []
    with tab(browser) as page:
        for _ in range(3):
            page.goto(f"{url}/compare?key=loss&runs={runs[0]}")
            page.evaluate(UNTIL, ["compare-0", runs[0][:8], "line.x.length > 100"])
            page.goto(f"{url}/compare?key=loss&runs={','.join(runs)}")
            page.evaluate(UNTIL, ["compare-0", runs[-1][:8], "line.x.length > 100"])
            draw = page.evaluate(
                "async () => { const plot = document.querySelector('.js-plotly-plot');"
                "const begin = performance.now();"
                "await Plotly.react(plot, structuredClone(plot.data), {...plot.layout});"
                "return performance.now() - begin; }"
            )
            waits.append(draw)
    yield "50 runs x 1,000 points drawn", f"{statistics.median(waits):.0f} ms", "250 ms"
