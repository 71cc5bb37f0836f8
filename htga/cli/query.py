"""`htga query`: SQL over live and archived runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from htga.cli.formats import as_utf8
from htga.cli.output import fail, print_json, print_table, say, to_json
from htga.cli.runs import DATA, Data, Json, Url
from htga_client.wire import LEFT_OUT
from htga_client.wire.column_values import column_values

if TYPE_CHECKING:
    import pyarrow as pa


def query(
    sql: Annotated[
        str, typer.Argument(help="One SELECT over runs, steps, layers, metrics, events.")
    ],
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write to this file: CSV, or JSON with --json.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = 10_000,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out damaged files of the archive.")
    ] = False,
    url: Url = None,
    data: Data = DATA,
) -> None:
    """Query live and archived runs, as in "SELECT run_id, max(step) FROM steps GROUP BY ALL"."""
    from htga.cli.connect import connect

    if as_json and as_csv:
        fail("--json and --csv exclude each other; leave one of them out")
    if out is not None and not out.absolute().parent.is_dir():
        fail(f"--out {out}: there is no folder {out.absolute().parent}; make it first")
    with connect(url, data) as client:
        # One row more than is shown says whether there are more.
        table = client.query(as_utf8(sql), limit=limit + 1, skip_damaged=skip_damaged)
    for fault in json.loads((table.schema.metadata or {}).get(LEFT_OUT, b"[]")):
        say(f"left out: {fault}")
    if table.num_rows > limit:
        table = table.slice(0, limit)
        say(f"only the first {limit:,} rows are shown, and there are more; see --limit")
    if out is not None:
        content = (to_json(_records(table)) + "\n").encode() if as_json else _csv(table)
        out.write_bytes(content)
        say(f"wrote {table.num_rows:,} rows to {out}")
    elif as_json:
        print_json(_records(table))
    elif as_csv:
        sys.stdout.flush()
        # In UTF-8 whatever the terminal shows: a program reads it.
        typer.echo(_csv(table), nl=False)
    else:
        print_table(table.column_names, _rows(table))


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*map(column_values, table.columns), strict=True))


def _records(table: pa.Table) -> list[dict[str, Any]]:
    return [dict(zip(table.column_names, row, strict=True)) for row in _rows(table)]


def _csv(table: pa.Table) -> bytes:
    """A table as CSV in UTF-8: empty for null, NaN and inf as Python writes them."""
    import csv
    import io

    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    for row in _rows(table):
        writer.writerow([_cell(value) for value in row])
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return to_json(value, indent=None) if isinstance(value, list | dict) else value
