"""The database of the collector that a test asks."""

from __future__ import annotations

import pytest

from htga_server.http.server import Server
from htga_server.storage.database import Database


@pytest.fixture
def database(collector: Server) -> Database:
    found: Database = collector._app.state.database
    return found
