"""`htga sync`: deliver rows that training runs left on disk."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from htga.cli.output import fail, print_json, print_table
from htga.cli.runs import Json
from htga_client.url import DEFAULT_URL

TRIES = 5

Dir = Annotated[Path, typer.Option("--dir", envvar="HTGA_DIR", help="Folder of the spool.")]
Url = Annotated[str, typer.Option(envvar="HTGA_URL", help="The collector to deliver to.")]
Token = Annotated[str, typer.Option(envvar="HTGA_TOKEN", help="Bearer token that may ingest.")]


def sync(
    folder: Dir = Path("htga-data/spool"),
    url: Url = DEFAULT_URL,
    token: Token = "",
    as_json: Json = False,
) -> None:
    """Deliver the rows that ended training runs left on disk; those of live runs stay."""
    from htga_client.http.transport import HttpTransport
    from htga_client.sender.orphans import deliver_orphans

    if not folder.is_dir():
        fail(f"--dir {folder}: there is no such folder; name the spool with --dir or HTGA_DIR")
    try:
        transport = HttpTransport(url, token or None)
    except ValueError as error:
        fail(str(error))
    tries = _Tries(url)
    orphans = deliver_orphans(
        folder, transport, pause=tries.pause, any_url=True, auth_retry_seconds=1.0
    )
    try:
        done = list(orphans)
    finally:
        transport.close()
    if as_json:
        print_json([asdict(run) for run in done])
    elif done:
        columns = ("run", "project", "name", "rows", "refused")
        print_table(columns, [(d.run_id, d.project, d.name, d.acked, d.refused) for d in done])
    else:
        typer.echo(f"Nothing to deliver in {folder}.")


class _Tries:
    """Gives up on a collector that fails or refuses `TRIES` times."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._left = TRIES

    def pause(self, seconds: float) -> bool:
        self._left -= 1
        if not self._left:
            fail(f"{self._url} takes no rows; the remaining ones stay on disk")
        time.sleep(seconds)
        return False
