"""A dashboard on a real collector, and a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from htga_client.wire import ARROW_STREAM, PREFIX
from htga_server.app import create_app as create_collector
from htga_server.serve import Server
from htga_server.settings import Settings
from tests.browser import chromium
from tests.support.dashboard import dashboard_on
from tests.support.rows import new_run, stream

Rows = Sequence[Mapping[str, Any]]


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Server]:
    """Collector and dashboard on one free port."""
    with dashboard_on(tmp_path, port=0).background() as server:
        yield server


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Server]:
    """A collector without a dashboard, on a free port."""
    with Server(create_collector(Settings(data=tmp_path / "data"))).background() as server:
        yield server


@pytest.fixture
def register() -> Callable[..., str]:
    """Register a run with the server of this address; gives its id."""

    def post(server: Server, **said: Any) -> str:
        answer = httpx2.post(f"{server.url}{PREFIX}/runs", json=new_run(**said))
        assert answer.status_code == 201
        return str(answer.json()["id"])

    return post


@pytest.fixture
def send() -> Callable[..., None]:
    """Send rows of a run to the server of this address."""

    def post(server: Server, run_id: str, rows: Rows) -> None:
        answer = httpx2.post(
            f"{server.url}{PREFIX}/runs/{run_id}/rows",
            content=stream(rows),
            headers={"content-type": ARROW_STREAM},
        )
        assert answer.json()["accepted"] == len(rows)

    return post


# Not for the session: while it lives, playwright keeps an event loop running in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium that asks nobody else for anything."""
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *quiet],
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page in a browser profile of its own."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    yield context.new_page()
    context.close()
