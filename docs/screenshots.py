"""Take the pictures in docs/images from the real dashboard: `make screenshots`.

Starts a collector on a folder of its own, trains on digits, and photographs the pages in Chromium.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from htga.cli.demo import train
from htga.cli.up import open_server
from tests.browser import FLAGS, chromium
from tests.support.charts import wait_for_points

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Train, then take each page in both themes."""
    with tempfile.TemporaryDirectory() as data:
        server = open_server(host="127.0.0.1", port=0, database="", data=Path(data))
        with server.background(), sync_playwright() as playwright:
            address = train(server.url, 600)
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            for theme in ("light", "dark"):
                photograph(browser, address, theme, IMAGES / f"run-{theme}.png")
            browser.close()


def photograph(browser: Browser, address: str, theme: str, path: Path) -> None:
    """One page, once its charts are drawn."""
    dark = theme == "dark"
    page = browser.new_page(
        viewport={"width": 1440, "height": 1120}, color_scheme="dark" if dark else "light"
    )
    page.goto(address)
    for chart in ("tail", "norm", "heat"):
        wait_for_points(page, chart, 100)
    page.get_by_text("finished").first.wait_for()
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    page.close()


if __name__ == "__main__":
    main()
