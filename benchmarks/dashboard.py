"""What a person waits for in the dashboard, in a real Chromium on a real collector.

    PYTHONPATH=.:client:server:dashboard python benchmarks/dashboard.py [part ...]

Collector and browser share the machine, and so their times.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa
from collecting.service import collector
from machine import describe
from playwright.sync_api import Browser, Page, sync_playwright

from htga_client.histogram import encode
from htga_client.wire import ARROW_STREAM, PREFIX, ROWS
from tests.browser import FLAGS, chromium

BATCH = 20_000
LIVE_ROWS = 100
SPIKE = 250.0
TABS = 8

# Resolves with the time at which `look` holds for `plot`, a chart, and `line`, the last trace of a
# name: what lies behind a curve has its name, too. Playwright's own waiting looks at longer and
# longer intervals, in the end twice a second.
UNTIL = """
([chart, name, look]) => new Promise((resolve, reject) => {
  const ready = new Function("plot", "line", `return ${look}`);
  const stop = performance.now() + 60_000;
  const tick = () => {
    const plot = document.querySelector(`[id*='"${chart}"'] .js-plotly-plot`);
    const line = plot?.data?.findLast((trace) => trace.name === name);
    if (line?.x && ready(plot, line)) resolve(performance.now());
    else if (performance.now() < stop) requestAnimationFrame(tick);
    else reject(new Error(`${chart}, ${name}: no ${look} in a minute; it has the traces ` +
      JSON.stringify(plot?.data?.map(({ name, x }) => [name, x?.length, x?.at(-1)]))));
  };
  tick();
})
"""
# Resolves with the milliseconds from the start of the navigation to the frame after the one that
# has an element: by then it is painted.
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
AFAR = {"x-forwarded-for": "203.0.113.1"}
"""What a proxy on this machine says of a reader on another."""


def main(chosen: Sequence[str]) -> None:
    """Measure the chosen parts, or all of them, and print one table."""
    parts = {
        part.__name__: part for part in (load, wire, live, zoom, spike, compare, table, tabs, heap)
    }
    if unknown := set(chosen) - set(parts):
        sys.exit(f"no such part: {', '.join(unknown)}; there are {', '.join(parts)}")
    print(f"{describe()}\n")
    print("| what | measured | budget |\n|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as data,
        collector(Path(data), dashboard=True) as (url, _),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for name in chosen or parts:
            for what, measured, budget in parts[name](browser, url):
                print(f"| {what} | {measured} | {budget} |", flush=True)
        browser.close()


Rows = Iterator[tuple[str, str, str]]


def load(browser: Browser, url: str) -> Rows:
    """From an address to the first chart, with an empty and with a full cache."""
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
    """What a reader on another machine is sent for the page of a run, and for that of all runs."""
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


def live(browser: Browser, url: str) -> Rows:
    """From a row's acknowledgement to its pixel, with ten charts on the page."""
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
    """From the end of a drag to the fetched stretch."""
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


def spike(browser: Browser, url: str) -> Rows:
    """One step of a million that stands out, with all of them on the screen."""
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
    """Fifty runs of a thousand steps in one chart."""
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


def table(browser: Browser, url: str) -> Rows:
    """A thousand runs in the table."""
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


def tabs(browser: Browser, url: str) -> Rows:
    """Eight tabs of one browser on one run, all of which grow with it."""
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
    """How much the page grows while as many rows arrive as in an hour of one a second."""
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


def received(page: Page, address: str, what: str) -> int:
    """Bytes that came for a page, with its headers, until it is drawn and has come to rest."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    came: list[int] = []
    session.on("Network.loadingFinished", lambda said: came.append(int(said["encodedDataLength"])))
    until_drawn(page, address, what)
    page.wait_for_timeout(3_000)
    session.detach()
    return sum(came)


@contextmanager
def tab(browser: Browser, **more: Any) -> Iterator[Page]:
    """A page with an empty cache."""
    more |= {"viewport": {"width": 1440, "height": 900}}
    context = browser.new_context(bypass_csp=True, **more)
    yield context.new_page()
    context.close()


def until_drawn(page: Page, address: str, what: str = CHART) -> float:
    """Seconds from asking for an address to the first chart in it, or something else, painted."""
    page.goto(address, wait_until="commit")
    return float(page.evaluate(PAINTED, what)) / 1e3


def watch_for(chart: str, name: str, look: str) -> str:
    """A script that keeps in `window.seen` a promise of what `look` waits for."""
    return f"() => {{ window.seen = ({UNTIL})({json.dumps([chart, name, look])}); }}"


def register(url: str, client: Any = httpx2) -> str:
    """A new run with the usual summary."""
    run = str(uuid.uuid4())
    body = {"id": run, "project": "benchmark", "name": run[:8], "config": {"lr": 0.1}}
    assert client.post(f"{url}{PREFIX}/runs", json=body).status_code == 201
    return run


def steps(start: int, stop: int) -> list[dict[str, Any]]:
    """Rows as HTGA's probe sends them, with two metrics."""
    random = np.random.default_rng(start)
    counts = (1000 * np.exp(-(((np.arange(120) - 60) / 20) ** 2))).astype(int).tolist()
    histogram = encode(counts, bits=3, first=880)
    noise = random.standard_normal((stop - start, 4)).tolist()
    return [
        {
            "step": step,
            "alpha_hat": 1.6 + 0.1 * a,
            "alpha_bar": 1.6 + 0.01 * a,
            "gamma": 1 + 0.01 * b,
            "beta": 0.1,
            "target_alpha": 1.5,
            "update_alpha": 1.5,
            "grad_norm": float(np.exp(0.2 * c)),
            "grad_norm_var": 0.01,
            "histogram": histogram,
            "metrics": [("loss", 2.0 + 0.1 * d), ("accuracy", 0.5)],
        }
        for step, (a, b, c, d) in enumerate(noise, start)
    ]


def send(url: str, run: str, rows: Sequence[dict[str, Any]], client: Any = httpx2) -> None:
    """Store rows; returns when they are committed."""
    table = pa.Table.from_pylist(list(rows), ROWS)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    answer = client.post(
        f"{url}{PREFIX}/runs/{run}/rows",
        content=sink.getvalue().to_pybytes(),
        headers={"content-type": ARROW_STREAM},
        timeout=60,
    )
    assert answer.json()["accepted"] == len(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
