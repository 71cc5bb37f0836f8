"""`htga token`: tokens of a collector, in its database."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from htga.cli.commands import group
from htga.cli.formats import ago, as_utf8, iso
from htga.cli.output import print_json, print_table

app = group("Create, list and revoke tokens.")
Db = Annotated[
    str,
    typer.Option(
        "--db",
        envvar="HTGA_DATABASE_URL",
        help="Database URL; default is SQLite in the data folder.",
    ),
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
    from htga.cli.up import opened
    from htga_server.access import tokens

    expires = None if days is None else time.time() + days * DAY
    scopes = tuple(scope or ("ingest", "read"))
    with opened(database, data) as store:
        token = store.write_now(
            lambda connection: tokens.create(
                connection,
                name=as_utf8(name),
                scopes=scopes,  # type: ignore[arg-type]  # checked there
                project=project and as_utf8(project),
                expires=expires,
            )
        )
    if as_json:
        print_json({"token": token, "id": token.split("_")[1]})
    else:
        typer.echo(token)


@app.command()
def ls(database: Db = "", data: Data = Path("htga-data"), as_json: Json = False) -> None:
    """List the tokens, without their secrets."""
    from dataclasses import asdict

    from htga.cli.up import opened
    from htga_server.access import tokens

    with opened(database, data) as store:
        found = store.read_now(tokens.listing)
    if as_json:
        print_json([iso(asdict(one)) for one in found])
        return
    rows = [
        (
            one.id,
            one.name,
            one.scopes,
            one.project,
            ago(one.created),
            ago(one.expires),
            ago(one.revoked),
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
    from htga.cli.up import opened
    from htga_server.access import tokens

    with opened(database, data) as store:
        store.write_now(lambda connection: tokens.revoke(connection, token_id))
    typer.echo(f"Token {token_id} is revoked.")
