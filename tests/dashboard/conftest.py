"""A dashboard on a real collector, and a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, sync_playwright

from htga_client.wire import ARROW_STREAM, PREFIX
from htga_dashboard.app import create_app
from htga_dashboard.source import Source
from htga_server.app import create_app as create_collector
from htga_server.serve import Server
from htga_server.settings import Settings
from tests.browser import chromium
from tests.support.rows import new_run, stream

Rows = Sequence[Mapping[str, Any]]


@pytest.fixture
def collector_app(tmp_path: Path) -> FastAPI:
    """A collector on an empty SQLite database."""
    return create_collector(Settings(data=tmp_path / "data"))


@pytest.fixture
def dashboard(collector_app: FastAPI) -> Iterator[Server]:
    """Collector and dashboard on one free port."""
    transport = httpx2.ASGITransport(app=collector_app)
    client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")
    create_app(Source(client), server=collector_app)
    with Server(collector_app).background() as server:
        yield server


@pytest.fixture
def collector(collector_app: FastAPI) -> Iterator[Server]:
    """A collector without a dashboard, on a free port."""
    with Server(collector_app).background() as server:
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


@pytest.fixture(scope="session")
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
