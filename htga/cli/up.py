"""Assembly of collector and dashboard into one server."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from htga.cli.commands import needs
from htga.cli.output import fail
from htga_client.url import checked_url, is_loopback_host

if TYPE_CHECKING:
    from fastapi import FastAPI

    from htga_server.http.server import Server
    from htga_server.settings import Settings
    from htga_server.storage.database import Database


def settings(database: str, data: Path, **other: object) -> Settings:
    """Settings from the environment, overridden by the command line."""
    from htga_server.settings import read_settings

    given = {"database_url": database} if database else {}
    return read_settings(data=data, **given, **other)


@contextmanager
def opened(database: str, data: Path, *, alone: bool = False) -> Iterator[Database]:
    """The database of a collector, at the newest schema, for the length of the block.

    Args:
        alone: Whether no collector may use it meanwhile, if it is a SQLite file.

    Raises:
        ValueError: It cannot be used; the message says why.
    """
    from htga_server.migrate import migrate
    from htga_server.storage.database import Database

    store = Database(settings(database, data).url)
    try:
        if alone:
            store.claim()
        store.check()
        migrate(store)
        yield store
    finally:
        store.close()


def open_server(
    *,
    host: str,
    port: int,
    database: str,
    data: Path,
    dashboard: bool = True,
    insecure: bool = False,
    require_tokens: bool = False,
    root_path: str = "",
) -> Server:
    """A collector, with the dashboard on the same port unless told otherwise, ready to serve.

    Beyond this machine it requires a token, and does not start while there is none, unless it is
    `insecure`.
    """
    from htga_server.app import create_app

    beyond = not is_loopback_host(host)
    given: dict[str, object] = {"root_path": root_path} if root_path else {}
    if require_tokens or (beyond and not insecure):
        given["require_tokens"] = True
    chosen = settings(database, data, **given)
    if beyond:
        known = (*chosen.allowed_hosts, host)
        chosen = chosen.model_copy(update={"allowed_hosts": known})
    api = create_app(chosen)
    try:
        prepare(api.state.database, chosen)
        if dashboard:
            _add_dashboard(api)
        return _bind(api, host, port, chosen)
    except BaseException:
        api.state.database.close()
        raise


def open_dashboard(
    *, host: str, port: int, url: str, insecure: bool, root_path: str = ""
) -> Server:
    """A dashboard that reads from, and forwards to, a collector elsewhere."""
    import httpx2

    from htga_dashboard.app import create_app
    from htga_dashboard.source.source import Source
    from htga_server.settings import read_settings

    url = checked_url(url)
    if not insecure and not is_loopback_host(host):
        fail(
            f"--host {host} would show all runs to every machine that reaches it; use 127.0.0.1"
            " behind an authenticating proxy, or pass --insecure"
        )
    token = os.environ.get("HTGA_TOKEN")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    source = Source(httpx2.AsyncClient(base_url=url, timeout=10, headers=headers))
    chosen = read_settings(**({"root_path": root_path} if root_path else {}))
    app = create_app(source, allowed_hosts=chosen.allowed_hosts)
    return _bind(app.server, host, port, chosen)


def _add_dashboard(api: FastAPI) -> None:
    import httpx2

    from htga_server.access.middleware import reader

    try:
        from htga_dashboard.app import create_app
        from htga_dashboard.source.source import Source
    except ImportError as error:
        fail(f"the dashboard needs {needs(error)}; or pass --no-dashboard")

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


def prepare(database: Database, chosen: Settings, *, alone: bool = True) -> None:
    """Check and migrate a database before anything is served, for errors in one sentence.

    Args:
        alone: Whether it is for a collector, which needs a SQLite file for itself.

    Raises:
        ValueError: The database is another collector's or program's, or damaged.
    """
    from htga_server.access import tokens
    from htga_server.migrate import migrate

    if alone:
        database.claim()
    database.check()
    migrate(database)
    if chosen.require_tokens and not database.read_now(tokens.any_valid):
        fail(
            "beyond this machine the collector requires a token, and there is none yet: "
            "`htga token create NAME` makes one (with the same --db and --data); or stay on "
            "127.0.0.1, or pass --insecure"
        )


def _bind(app: FastAPI, host: str, port: int, chosen: Settings) -> Server:
    from htga_server.http.server import Server

    try:
        return Server(
            app,
            host=host,
            port=port,
            root_path=chosen.root_path,
            trusted_proxies=chosen.trusted_proxies,
        )
    except OSError as error:
        no_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        option = "--host" if no_host else "--port"
        fail(f"cannot listen on {host}:{port}: {error.strerror}; choose another with {option}")
