"""Make the images in docs/images from the real dashboard: `make screenshots`.

Starts a collector on a temporary folder, trains on digits, and takes screenshots in Chromium.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import httpx2
import torch
from playwright.sync_api import Browser, sync_playwright
from torch.nn import functional

from htga import telemetry
from htga.cli.demo import train
from htga.cli.up import open_server
from htga.experiments import digits
from htga_client.wire import PREFIX
from tests.browser import FLAGS, chromium
from tests.support.charts import scroll_to, wait_for_points

IMAGES = Path(__file__).parent / "images"
DRAWN = ".grid:has(.sparkline):not(:has(.sparkline [d='']))"
QUERY = "SELECT name, state, last_step, config FROM runs ORDER BY name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One screenshot.

    Attributes:
        path: Path of the page.
        chart: A chart to wait for, until it has at least `points` points.
        text: Text to wait for.
        drawn: Selector of an element to wait for.
        part: Section of a run's page to scroll to; None for the top of the page.
        width, height: Size of the image in pixels.
    """

    path: str
    chart: str | None = None
    points: int = 1
    text: str
    drawn: str = "h1"
    part: str | None = None
    width: int = 1440
    height: int = 1120


def main() -> None:
    """Train, then take a screenshot of each page in both themes."""
    with tempfile.TemporaryDirectory() as data:
        server = open_server(host="127.0.0.1", port=0, database="", data=Path(data))
        with server.background(), sync_playwright() as playwright:
            run = train(server.url, 600).removeprefix(server.url)
            group = sweep(server.url)
            add_rules(server.url)
            comparison = f"/compare?runs={','.join(group)}&by=lr"
            pinned = f"/run/{group[-1]}?layer=8.weight&layer=6.weight&layer=2.weight"
            shots = {
                "runs": Shot(path="/", text="finished", drawn=DRAWN, height=720),
                "run": Shot(path=run, chart="heat", points=100, text="finished"),
                "tail": Shot(
                    path=f"{run}?at=60", chart="ridge", text="to 60:", part="snapshot", height=420
                ),
                "layers": Shot(
                    path=pinned, chart="layer-2-grad_norm", text="each layer", part="layers"
                ),
                "multiples": Shot(
                    path=f"/run/{group[-1]}?as=multiples&layers=grad_norm",
                    chart="layers",
                    text="on one scale",
                    part="layers",
                    height=500,
                ),
                "compare": Shot(path=comparison, chart="compare-0", points=100, text="n = 3"),
                "experiments": Shot(
                    path="/experiments?metric=loss&baseline=lr+0.03",
                    chart="forest",
                    text="3/3",
                    height=700,
                ),
                "query": Shot(path=f"/query?sql={quote(QUERY)}", text="finished"),
                "health": Shot(path="/health", text="5 values in a row", height=780),
                "phone": Shot(
                    path=run, chart="tail", points=100, text="finished", width=390, height=844
                ),
            }
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            for theme in ("light", "dark"):
                for name, shot in shots.items():
                    take(browser, server.url, shot, theme, IMAGES / f"{name}-{theme}.png")
            browser.close()


def sweep(url: str) -> list[str]:
    """Train three seeds at three learning rates with plain SGD; return the ids of the runs."""
    ids = []
    for lr in (0.03, 0.01, 0.003):
        for seed in range(3):
            torch.manual_seed(seed)
            data, model = digits.load(), digits.network()
            optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
            config = {"lr": lr, "seed": seed, "variant": f"lr {lr}"}
            with telemetry.attach(
                optimizer,
                url=url,
                project="digits",
                tags=["study:learning-rate"],
                config=config,
                model=model,
                layers_every=3,
            ) as run:
                for x, y in islice(digits.batches(data, 64), 150):
                    optimizer.zero_grad()
                    loss = functional.cross_entropy(model(x), y)
                    loss.backward()
                    optimizer.step()
                    run.log(loss=loss)
            ids.append(run.id)
    return ids


def add_rules(url: str) -> None:
    """Create two alert rules."""
    for name, kind, key, threshold, level in (
        ("heavy tail", "below", "alpha_bar", 1.5, "warning"),
        ("the norm bursts", "burst", "grad_norm", 20.0, "error"),
    ):
        rule = {"project": "digits", "name": name, "kind": kind, "key": key, "level": level}
        rule |= {"threshold": threshold, "steps": 5 if kind == "below" else 1}
        httpx2.post(f"{url}{PREFIX}/rules", json=rule).raise_for_status()


def take(browser: Browser, url: str, shot: Shot, theme: str, path: Path) -> None:
    """Take one screenshot, once the chart and the text of `shot` are there."""
    dark = theme == "dark"
    page = browser.new_page(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme="dark" if dark else "light",
    )
    page.goto(url + shot.path)
    if shot.part:
        scroll_to(page, shot.part)
    if shot.chart:
        wait_for_points(page, shot.chart, shot.points)
    page.get_by_text(shot.text).first.wait_for()
    page.locator(shot.drawn).first.wait_for(state="attached")
    if shot.part:
        page.locator(f"[data-section={shot.part}]").evaluate(
            "part => scrollTo(0, part.getBoundingClientRect().top + scrollY - 70)"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    page.close()


if __name__ == "__main__":
    main()
