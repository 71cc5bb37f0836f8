"""A dashboard on a real collector."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Page

from htga_client.wire import ARROW_STREAM, PREFIX
from htga_server.app import create_app as create_collector
from htga_server.http.server import Server
from htga_server.settings import Settings
from tests.support.dashboard import dashboard_on
from tests.support.rows import new_run, stream

Rows = Sequence[Mapping[str, Any]]


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """A port for one dashboard after another: Chromium keeps scripts, and their code, by origin."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        number: int = held.getsockname()[1]
        if sys.platform != "linux":
            held.close()  # elsewhere no server could listen on it
        # Bound, it is given to nobody who asks for any port; who asks for this one can listen.
        yield number


@pytest.fixture
def dashboard(tmp_path: Path, sqlite_template: Path, port: int) -> Iterator[Server]:
    """Collector and dashboard on one port."""
    (tmp_path / "data").mkdir()
    shutil.copy(sqlite_template, tmp_path / "data")
    with dashboard_on(tmp_path, port=port).background() as server:
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


@pytest.fixture
def watched(page: Page) -> Iterator[Page]:
    """A page that must not complain, nor ask anybody but its own server."""
    trouble: list[str] = []
    hosts: set[str | None] = set()
    page.on("console", lambda m: trouble.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: trouble.append(error.stack or error.message))
    page.on("dialog", lambda dialog: trouble.append(dialog.message))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    yield page
    assert trouble == []
    assert hosts <= {"127.0.0.1", None}
