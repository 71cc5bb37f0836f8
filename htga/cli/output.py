"""What every command prints: tables for people, JSON for programs, one sentence for an error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text


def fail(message: str) -> NoReturn:
    """End the command with one sentence on stderr and exit status 1."""
    typer.echo(f"htga: {message}", err=True)
    raise typer.Exit(1)


def print_json(value: Any) -> None:
    """Print JSON in which non-finite numbers are the strings "NaN", "Infinity", "-Infinity"."""
    typer.echo(to_json(value))


def to_json(value: Any) -> str:
    """What `print_json` prints."""
    return json.dumps(_plain(value), indent=2, default=str)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows for people; text from outside is shown, never interpreted."""
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


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value
