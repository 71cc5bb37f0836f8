"""Assembly of collector and dashboard into one server."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from htga.cli.output import fail
from htga_client.url import is_loopback_host

if TYPE_CHECKING:
    from fastapi import FastAPI

    from htga_server.http.server import Server
    from htga_server.settings import Settings
    from htga_server.storage.database import Database


def settings(database: str, data: Path, **other: object) -> Settings:
    """Settings from the environment, overridden by the command line."""
    from htga_server.settings import Settings

    given = {"database_url": database} if database else {}
    return Settings(data=data, **given, **other)  # type: ignore[arg-type]


def open_server(
    *,
    host: str,
    port: int,
    database: str,
    data: Path,
    dashboard: bool = True,
    insecure: bool = False,
    require_tokens: bool = False,
) -> Server:
    """A collector, with the dashboard on the same port unless told otherwise, ready to serve.

    Beyond this machine it requires a token, and does not start while there is none, unless it is
    `insecure`.
    """
    try:
        from htga_server.app import create_app
    except ModuleNotFoundError as error:
        fail(f"the collector needs {error.name}: in a clone of HTGA, pip install '.[server]'")
    beyond = not is_loopback_host(host)
    guarded = {"require_tokens": True} if require_tokens or (beyond and not insecure) else {}
    try:
        chosen = settings(database, data, **guarded)
        if beyond:
            known = (*chosen.allowed_hosts, host)
            chosen = chosen.model_copy(update={"allowed_hosts": known})
        api = create_app(chosen)
        _check(api.state.database, chosen)
    except ValueError as error:
        fail(str(error))
    if dashboard:
        _add_dashboard(api)
    return _bind(api, host, port)


def open_dashboard(*, host: str, port: int, url: str, insecure: bool) -> Server:
    """A dashboard that reads from, and forwards to, a collector elsewhere."""
    import httpx2

    from htga_dashboard.app import create_app
    from htga_dashboard.source.source import Source
    from htga_server.settings import Settings

    if not insecure and not is_loopback_host(host):
        fail(
            f"--host {host} would show all runs to every machine that reaches it; use 127.0.0.1"
            " behind an authenticating proxy, or pass --insecure"
        )
    token = os.environ.get("HTGA_TOKEN")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    source = Source(httpx2.AsyncClient(base_url=url, timeout=10, headers=headers))
    app = create_app(source, allowed_hosts=Settings().allowed_hosts)
    return _bind(app.server, host, port)


def _add_dashboard(api: FastAPI) -> None:
    import httpx2

    from htga_server.access.middleware import reader

    try:
        from htga_dashboard.app import create_app
        from htga_dashboard.source.source import Source
    except ModuleNotFoundError as error:
        fail(
            f"the dashboard needs {error.name}: in a clone of HTGA, pip install '.[dashboard]'; "
            "or --no-dashboard"
        )

    class AsTheReader(httpx2.Auth):
        """Sends the token of the page's reader to the API."""

        def auth_flow(
            self, request: httpx2.Request
        ) -> Generator[httpx2.Request, httpx2.Response, None]:
            token = reader.get()
            if token is not None:
                request.headers["authorization"] = f"Bearer {token}"
            yield request

    transport = httpx2.ASGITransport(app=api)
    client = httpx2.AsyncClient(
        transport=transport, base_url="http://127.0.0.1", auth=AsTheReader()
    )
    create_app(Source(client), server=api)


def _check(database: Database, chosen: Settings) -> None:
    """Fail with one sentence, before anything is served, if the settings cannot work.

    Raises:
        ValueError: The database is another collector's or program's, or damaged.
    """
    import sqlalchemy as sa

    from htga_server.access import tokens
    from htga_server.migrate import migrate

    try:
        database.claim()
        database.check()
        migrate(database)
        if chosen.require_tokens and not database.read_now(tokens.any_valid):
            fail(
                "beyond this machine the collector requires a token, and there is none yet: "
                "`htga token create NAME` makes one (with the same --db and --data); or stay on "
                "127.0.0.1, or pass --insecure"
            )
    except sa.exc.OperationalError as error:
        fail(f"the database cannot be used: {error.orig}")


def _bind(app: FastAPI, host: str, port: int) -> Server:
    from htga_server.http.server import Server

    try:
        return Server(app, host=host, port=port)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port")
