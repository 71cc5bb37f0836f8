"""How long readers of the dashboard wait, in a real Chromium on a real collector.

    PYTHONPATH=.:client:server:dashboard python benchmarks/dashboard.py [part ...]

Collector and browser share the machine, which adds to all times.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from collector_load.service import collector
from machine import describe
from page_load.baseline import baseline
from page_load.first_paint import compare, load, spike, table, wire
from page_load.live_update import heap, live, tabs, zoom
from playwright.sync_api import sync_playwright

from tests.browser import FLAGS, chromium

PARTS = (baseline, load, table, wire, live, zoom, spike, compare, tabs, heap)


def main(chosen: Sequence[str]) -> None:
    """Measure the chosen parts, or all of them, and print one table."""
    parts = {part.__name__: part for part in PARTS}
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


if __name__ == "__main__":
    main(sys.argv[1:])
