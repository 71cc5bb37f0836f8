"""The connection of a command to a collector."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from htga.cli.commands import needs
from htga.cli.output import fail
from htga_client.errors import ClientError, Unreachable
from htga_client.reader import Client
from htga_client.url import DEFAULT_URL


@contextlib.contextmanager
def connect(url: str | None, data: Path, *, writes: bool = False) -> Iterator[Client]:
    """A client of the collector at `url`, or else of the one on this machine.

    If none runs here, one is started on the data folder for the length of the block, so that there
    is one way to read. It only reads beside a collector of that folder on another port, unless it
    `writes`; then the folder must be free. Errors become one sentence.
    """
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(Client(url or DEFAULT_URL))
            if url is None and not _answers(client):
                client = stack.enter_context(Client(stack.enter_context(_local(data, writes))))
            yield client
        except (ClientError, ValueError) as error:
            fail(str(error))


def _answers(client: Client) -> bool:
    try:
        client.runs(limit=1)
    except Unreachable:
        return False
    return True


@contextlib.contextmanager
def _local(data: Path, writes: bool) -> Iterator[str]:
    from htga.cli.up import prepare, settings

    try:
        from htga_server.app import create_app
        from htga_server.http.server import Server
    except ImportError as error:
        fail(
            f"no collector answers on {DEFAULT_URL} (--url names another), and without one "
            f"reading {data} needs {needs(error)}"
        )
    chosen = settings("", data)
    if not chosen.database_url and not (data / "htga.db").exists():
        fail(
            f"no collector answers on {DEFAULT_URL}, and there is no database in {data}; name"
            " either with --url or --data"
        )
    app = create_app(chosen, reader=not writes)
    prepare(app.state.database, chosen, alone=writes)
    with Server(app).background() as server:
        yield server.url
