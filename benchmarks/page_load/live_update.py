"""Latency and memory of a page that follows a run or zooms."""

from __future__ import annotations

import statistics
import time

import httpx2
import numpy as np
from page_load.rows import register, send, steps
from page_load.tab import TAIL, UNTIL, Rows, tab, until_drawn, watch_for
from playwright.sync_api import Browser

LIVE_ROWS = 100
TABS = 8


def live(browser: Browser, url: str) -> Rows:
    """Time from a row's acknowledgement to its pixel, with ten charts on the page."""
    run = register(url)
    send(url, run, steps(0, 300))
    with tab(browser) as page, httpx2.Client() as client:
        until_drawn(page, f"{url}/run/{run}")
        waits = []
        for step in range(300, 300 + LIVE_ROWS):
            page.evaluate(watch_for(*TAIL, f"line.x.at(-1) >= {step}"))
            send(url, run, steps(step, step + 1), client)
            begin = time.perf_counter()
            page.evaluate("() => window.seen")
            waits.append(time.perf_counter() - begin)
            pause = 0.2 - waits[-1]
            time.sleep(max(pause, 0.0))
    middle, late = np.quantile(waits, [0.5, 0.95]) * 1e3
    yield (
        f"row acknowledged to pixel, {LIVE_ROWS} rows at 5 a second, median / p95",
        f"{middle:.0f} / {late:.0f} ms",
        "300 ms (p95)",
    )


def zoom(browser: Browser, url: str) -> Rows:
    """Time from the end of a drag to the new range of steps."""
    run = register(url)
    send(url, run, steps(0, 50_000))
    waits = []
    with tab(browser) as page:
        until_drawn(page, f"{url}/run/{run}")
        for _ in range(7):
            box = page.locator("[id*='\"tail\"'] .nsewdrag").first.bounding_box()
            assert box is not None
            page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 62, steps=4)
            page.evaluate(
                watch_for(
                    *TAIL,
                    "plot.layout.xaxis.autorange === false"
                    " && line.x[0] >= plot.layout.xaxis.range[0]",
                )
            )
            page.mouse.up()
            begin = time.perf_counter()
            page.evaluate("() => window.seen")
            waits.append(time.perf_counter() - begin)
            page.get_by_role("button", name="All steps").click()
            page.evaluate(UNTIL, [*TAIL, "line.x[0] < 100"])
    yield "zoom of 50,000 steps refetched", f"{statistics.median(waits) * 1e3:.0f} ms", "250 ms"


def tabs(browser: Browser, url: str) -> Rows:
    """Time until a row is in eight tabs of one browser on one run."""
    run = register(url)
    send(url, run, steps(0, 300))
    with tab(browser) as first, httpx2.Client() as client:
        pages = [first, *(first.context.new_page() for _ in range(TABS - 1))]
        for page in pages:
            until_drawn(page, f"{url}/run/{run}")
        for page in pages:
            page.evaluate(watch_for(*TAIL, "line.x.at(-1) >= 300"))
        send(url, run, steps(300, 301), client)
        begin = time.perf_counter()
        for page in pages:
            page.evaluate("() => window.seen")
        waited = time.perf_counter() - begin
    yield f"{TABS} tabs, a row in all of them", f"{waited * 1e3:.0f} ms", "all live"


def heap(browser: Browser, url: str) -> Rows:
    """Growth of the heap over as many rows as one a second gives in an hour."""
    run = register(url)
    send(url, run, steps(0, 300))
    with tab(browser) as page:
        until_drawn(page, f"{url}/run/{run}")
        session = page.context.new_cdp_session(page)

        def used() -> float:
            session.send("HeapProfiler.collectGarbage")
            return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6

        send(url, run, steps(300, 330))
        page.evaluate(UNTIL, [*TAIL, "line.x.at(-1) >= 329"])
        before = used()
        with httpx2.Client() as client:
            for start in range(330, 3_930, 30):
                send(url, run, steps(start, start + 30), client)
                page.evaluate(UNTIL, [*TAIL, f"line.x.at(-1) >= {start + 29}"])
        grown = used() - before
    yield "heap after 3,600 rows in 120 batches", f"{grown:+.1f} MB", "+15 MB"
