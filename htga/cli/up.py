"""Putting collector and dashboard together."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from htga.cli.output import fail

if TYPE_CHECKING:
    from fastapi import FastAPI

    from htga_server.serve import Server
    from htga_server.settings import Settings


def settings(database: str, data: Path) -> Settings:
    """Settings from the environment, overruled by what the command line says."""
    from htga_server.settings import Settings

    given = {"database_url": database} if database else {}
    return Settings(data=data, **given)  # type: ignore[arg-type]


def open_server(
    *,
    host: str,
    port: int,
    database: str,
    data: Path,
    dashboard: bool = True,
    insecure: bool = False,
) -> Server:
    """A collector, with the dashboard on the same port unless told otherwise, ready to serve."""
    try:
        from htga_server.app import create_app
    except ModuleNotFoundError as error:
        fail(f"the collector needs {error.name}: pip install 'htga[server]'")
    _refuse_strangers(host, insecure)
    try:
        api = create_app(settings(database, data))
    except ValueError as error:
        fail(str(error))
    if dashboard:
        _add_dashboard(api)
    return _bind(api, host, port)


def open_dashboard(*, host: str, port: int, url: str, insecure: bool) -> Server:
    """A dashboard that reads, and forwards to, a collector elsewhere."""
    import httpx2

    from htga_dashboard.app import create_app
    from htga_dashboard.source import Source
    from htga_server.settings import Settings

    _refuse_strangers(host, insecure)
    source = Source(httpx2.AsyncClient(base_url=url, timeout=10))
    app = create_app(source, allowed_hosts=Settings().allowed_hosts)
    return _bind(app.server, host, port)


def _add_dashboard(api: FastAPI) -> None:
    import httpx2

    try:
        from htga_dashboard.app import create_app
        from htga_dashboard.source import Source
    except ModuleNotFoundError as error:
        fail(f"the dashboard needs {error.name}: pip install 'htga[dashboard]'; or --no-dashboard")
    transport = httpx2.ASGITransport(app=api)
    client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")
    create_app(Source(client), server=api)


def _refuse_strangers(host: str, insecure: bool) -> None:
    if insecure or host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        fail(
            f"--host {host} would let every machine that reaches it read and write all runs; "
            "use 127.0.0.1 behind an authenticating proxy, or say --insecure"
        )


def _bind(app: FastAPI, host: str, port: int) -> Server:
    from htga_server.serve import Server

    try:
        return Server(app, host=host, port=port)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port")
