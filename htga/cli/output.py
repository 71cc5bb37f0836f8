"""Output of the commands: tables for people, JSON for programs, one sentence for an error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from htga_client.wire.json_codec import json_number


def fail(message: str) -> NoReturn:
    """End the command with one sentence on stderr and exit status 1."""
    typer.echo(f"htga: {message}", err=True)
    raise typer.Exit(1)


def print_json(value: Any) -> None:
    """Print JSON in which non-finite numbers are the strings "NaN", "Infinity", "-Infinity"."""
    typer.echo(to_json(value))


def to_json(value: Any) -> str:
    """The text that `print_json` prints."""
    return json.dumps(_jsonable(value), indent=2, default=str)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; text from outside is shown as it is, without markup."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_word(value)) for value in row))
    Console().print(table)


def _word(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _jsonable(value: Any) -> Any:
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Mapping):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value
