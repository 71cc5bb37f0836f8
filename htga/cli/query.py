"""`htga query`: SQL over live and archived runs."""

from __future__ import annotations

from typing import Annotated

import typer

from htga.cli.output import print_json, print_table
from htga.cli.runs import DATA, Data, Json, Url


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT over the tables runs, steps, metrics.")],
    as_json: Json = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Query live and archived runs, as in "SELECT run, max(step) FROM steps GROUP BY run"."""
    from htga.cli.connect import connect

    with connect(url, data) as client:
        table = client.query(sql)
    rows = table.to_pylist()
    if as_json:
        print_json(rows)
    else:
        print_table(table.column_names, [tuple(row.values()) for row in rows])
