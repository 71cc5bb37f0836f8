"""Take the pictures in docs/images from the real dashboard: `make screenshots`.

Starts a collector on a folder of its own, trains on digits, and photographs the pages in Chromium.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import torch
from playwright.sync_api import Browser, sync_playwright
from torch.nn import functional

from htga import telemetry
from htga.cli.demo import train
from htga.cli.up import open_server
from htga.experiments import digits
from tests.browser import FLAGS, chromium
from tests.support.charts import wait_for_points

IMAGES = Path(__file__).parent / "images"
QUESTION = "SELECT name, state, last_step, config FROM runs ORDER BY name"


def main() -> None:
    """Train, then take each page in both themes."""
    with tempfile.TemporaryDirectory() as data:
        server = open_server(host="127.0.0.1", port=0, database="", data=Path(data))
        with server.background(), sync_playwright() as playwright:
            address = train(server.url, 600)
            group = sweep(server.url)
            pages = {
                "run": (address, ("tail", "norm", "heat"), "finished"),
                "compare": (
                    f"{server.url}/compare?runs={','.join(group)}&by=lr",
                    ("compare-0",),
                    "n = 3",
                ),
                "query": (f"{server.url}/query?sql={quote(QUESTION)}", (), "finished"),
            }
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            for theme in ("light", "dark"):
                for name, (where, charts, text) in pages.items():
                    path = IMAGES / f"{name}-{theme}.png"
                    photograph(browser, where, charts, text, theme, path)
            browser.close()


def sweep(url: str) -> list[str]:
    """Train three seeds at two learning rates with plain SGD; gives the ids of the runs."""
    ids = []
    for lr in (0.03, 0.003):
        for seed in range(3):
            torch.manual_seed(seed)
            data, model = digits.load(), digits.network()
            optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
            config = {"lr": lr, "seed": seed}
            with telemetry.attach(optimizer, url=url, project="digits", config=config) as run:
                for x, y in islice(digits.batches(data, 64), 150):
                    optimizer.zero_grad()
                    loss = functional.cross_entropy(model(x), y)
                    loss.backward()
                    optimizer.step()
                    run.log(loss=loss)
            ids.append(run.id)
    return ids


def photograph(  # noqa: PLR0917
    browser: Browser, address: str, charts: Sequence[str], text: str, theme: str, path: Path
) -> None:
    """One page, once its charts are drawn and it says a text."""
    dark = theme == "dark"
    page = browser.new_page(
        viewport={"width": 1440, "height": 1120}, color_scheme="dark" if dark else "light"
    )
    page.goto(address)
    for chart in charts:
        wait_for_points(page, chart, 100)
    page.get_by_text(text).first.wait_for()
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    page.close()


if __name__ == "__main__":
    main()
