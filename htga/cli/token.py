"""`htga token`: tokens of a collector, in its database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from htga.cli.output import fail, print_json, print_table

if TYPE_CHECKING:
    from htga_server.storage.database import Database

app = typer.Typer(help="Create, list and revoke tokens.", no_args_is_help=True)
Db = Annotated[
    str, typer.Option("--db", help="Database URL; default is SQLite in the data folder.")
]
Data = Annotated[Path, typer.Option(envvar="HTGA_DATA", help="Folder of the database.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DAY = 24 * 3600


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A label that tells what it is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="ingest (send runs), read, or admin (delete, archive); repeatable."),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="The only project that it may access; by default all.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="Days until it expires.")] = None,
    database: Db = "",
    data: Data = Path("htga-data"),
    as_json: Json = False,
) -> None:
    """Create a token and print it, only this once. Without --scope it may ingest and read."""
    from htga_server.access import tokens
    from htga_server.problems import ServerError

    expires = None if days is None else time.time() + days * DAY
    scopes = tuple(scope or ("ingest", "read"))
    with _opened(database, data) as store:
        try:
            token = store.write_now(
                lambda connection: tokens.create(
                    connection,
                    name=name,
                    scopes=scopes,  # type: ignore[arg-type]  # checked there
                    project=project,
                    expires=expires,
                )
            )
        except ServerError as error:
            fail(str(error))
    if as_json:
        print_json({"token": token, "id": token.split("_")[1]})
    else:
        typer.echo(token)


@app.command()
def ls(database: Db = "", data: Data = Path("htga-data"), as_json: Json = False) -> None:
    """List the tokens, without their secrets."""
    from dataclasses import asdict

    from htga_server.access import tokens

    with _opened(database, data) as store:
        found = store.read_now(tokens.listing)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [
        (
            one.id,
            one.name,
            ",".join(one.scopes),
            one.project,
            _day(one.created),
            _day(one.expires),
            _day(one.revoked),
        )
        for one in found
    ]
    print_table(("id", "name", "scopes", "project", "created", "expires", "revoked"), rows)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="Its id, as `htga token ls` shows it.")],
    database: Db = "",
    data: Data = Path("htga-data"),
) -> None:
    """Revoke a token; it stops working within seconds."""
    from htga_server.access import tokens
    from htga_server.problems import ServerError

    with _opened(database, data) as store:
        try:
            store.write_now(lambda connection: tokens.revoke(connection, token_id))
        except ServerError as error:
            fail(str(error))
    typer.echo(f"Token {token_id} is revoked.")


@contextmanager
def _opened(database: str, data: Path) -> Iterator[Database]:
    from htga.cli.up import settings
    from htga_server.migrate import migrate
    from htga_server.storage.database import Database

    try:
        store = Database(settings(database, data).url)
    except ValueError as error:
        fail(str(error))
    try:
        migrate(store)
        yield store
    finally:
        store.close()


def _day(when: float | None) -> str | None:
    return None if when is None else datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M")
