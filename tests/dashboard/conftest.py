"""A dashboard on a real collector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from htga_client.wire import ARROW_STREAM, PREFIX
from htga_server.app import create_app as create_collector
from htga_server.serve import Server
from htga_server.settings import Settings
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
