"""Collector and dashboard in one process."""

from __future__ import annotations

from pathlib import Path

import httpx2

from htga_dashboard.app import create_app
from htga_dashboard.source import Source
from htga_server.app import create_app as create_collector
from htga_server.serve import Server
from htga_server.settings import Settings


def dashboard_on(folder: Path, *, port: int) -> Server:
    """A server of both, on the SQLite database in `folder`."""
    api = create_collector(Settings(data=folder / "data"))
    transport = httpx2.ASGITransport(app=api)
    client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")
    create_app(Source(client), server=api)
    return Server(api, port=port)
