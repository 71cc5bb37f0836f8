"""Collector and dashboard in one process."""

from __future__ import annotations

from pathlib import Path

from htga.cli.up import open_server
from htga_server.http.server import Server


def dashboard_on(folder: Path, *, port: int) -> Server:
    """What `htga up` serves, on the SQLite database in `folder`."""
    return open_server(host="127.0.0.1", port=port, database="", data=folder / "data")
