"""`htga sync`: deliver rows that training runs left on disk."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from htga.cli.output import fail, print_json, print_table
from htga.cli.runs import Json
from htga_client.url import DEFAULT_URL

if TYPE_CHECKING:
    from htga_client.http.transport import HttpTransport

TRIES = 5

Dir = Annotated[Path, typer.Option("--dir", envvar="HTGA_DIR", help="Folder of the spool.")]
Url = Annotated[str, typer.Option(envvar="HTGA_URL", help="The collector to deliver to.")]
Token = Annotated[str, typer.Option(envvar="HTGA_TOKEN", help="Bearer token that may ingest.")]

Dead = Annotated[
    bool,
    typer.Option("--dead", help="List and send again what a collector has refused (dead/)."),
]


def sync(
    folder: Dir = Path("htga-data/spool"),
    url: Url = DEFAULT_URL,
    token: Token = "",
    dead: Dead = False,
    as_json: Json = False,
) -> None:
    """Deliver the rows that ended training runs left on disk; those of live runs stay."""
    from htga_client.http.transport import HttpTransport

    if not folder.is_dir():
        fail(f"--dir {folder}: there is no such folder; name the spool with --dir or HTGA_DIR")
    try:
        transport = HttpTransport(url, token or None)
    except ValueError as error:
        fail(str(error))
    (_send_dead if dead else _send_orphans)(folder, transport, as_json)
    transport.close()


def _send_orphans(folder: Path, transport: HttpTransport, as_json: bool) -> None:
    from htga_client.sender.orphans import deliver_orphans

    tries = _Tries(transport.url)
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
        columns = ("run", "project", "name", "rows", "refused", "problem")
        fields = attrgetter("run_id", "project", "name", "acked", "refused", "problem")
        print_table(columns, [fields(run) for run in done])
    else:
        typer.echo(f"Nothing to deliver in {folder}.")
    if any(run.problem for run in done):
        fail(f"{transport.url} does not take every run; rows of a run with a problem stay on disk")


def _send_dead(folder: Path, transport: HttpTransport, as_json: bool) -> None:
    from htga_client.http.backoff import Backoff
    from htga_client.http.retry import Retrier
    from htga_client.sender.redelivery import dead_letters, resend

    letters = list(dead_letters(folder))
    if not as_json:
        if not letters:
            typer.echo(f"There are no dead letters in {folder}.")
            return
        columns = ("run", "rows", "date", "reason")
        rows = [(one.run_id, one.table.num_rows, _date(one.written), one.reason) for one in letters]
        print_table(columns, rows)
    tries = _Tries(transport.url)
    retrier = Retrier(transport.url, backoff=Backoff(), auth_retry_seconds=1.0, pause=tries.pause)
    left = [resend(one, transport, retrier) for one in letters]
    if as_json:
        print_json(
            [
                {
                    "run_id": one.run_id,
                    "rows": one.table.num_rows,
                    "date": _date(one.written),
                    "reason": one.reason,
                    "left": rest.table.num_rows if rest else 0,
                    "refused_again": rest.reason if rest else "",
                }
                for one, rest in zip(letters, left, strict=True)
            ]
        )
        return
    sent = sum(one.table.num_rows for one in letters)
    stay = [rest for rest in left if rest is not None]
    kept = sum(rest.table.num_rows for rest in stay)
    typer.echo(f"{sent - kept} of {sent} rows were taken, and {len(stay)} dead letters stay.")
    for reason in dict.fromkeys(rest.reason for rest in stay):
        typer.echo(f"Refused again: {reason}")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


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
