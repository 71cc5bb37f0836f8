"""A database, a registered run, and a way to send its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import httpx2
import pytest

from htga_client.wire import ARROW_STREAM
from htga_server.migrate import migrate
from htga_server.settings import Settings
from htga_server.storage.database import Database
from tests.support.rows import new_run, stream


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """A database of its own, with all tables."""
    database = Database(settings.url)
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def run_id(api: httpx2.Client) -> str:
    """A registered run."""
    answer = api.post("/runs", json=new_run())
    assert answer.status_code == 201
    return str(answer.json()["id"])


@pytest.fixture
def post_to(api: httpx2.Client) -> Callable[..., httpx2.Response]:
    """Post rows of a run as Arrow."""

    def send(run_id: str, rows: Sequence[Mapping[str, Any]], **numbered: Any) -> httpx2.Response:
        body = stream(rows, **numbered)
        headers = {"content-type": ARROW_STREAM}
        return api.post(f"/runs/{run_id}/rows", content=body, headers=headers)

    return send


@pytest.fixture
def post(run_id: str, post_to: Callable[..., httpx2.Response]) -> Callable[..., httpx2.Response]:
    """Post rows of `run_id` as Arrow."""
    return partial(post_to, run_id)
