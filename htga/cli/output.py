"""Output of the commands: tables for people, JSON for programs, one sentence for an error."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import typer

from htga.cli.formats import word
from htga_client.wire.json_codec import json_number

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NARROW = 8
"""Columns of a terminal that any other text gets at least."""


def fail(message: str) -> NoReturn:
    """End the command with one sentence on stderr and exit status 1."""
    say(message)
    raise typer.Exit(1)


def say(message: str) -> None:
    """Print one line on stderr."""
    typer.echo(f"htga: {printable(' '.join(message.split()))}", err=True)


def printable(text: str, *, lines: bool = False) -> str:
    """Text without signs that end a line, move a terminal's cursor or turn text round.

    Args:
        text: What comes from outside.
        lines: Whether line feeds stay.
    """
    if text.isprintable():
        return text
    kept = "\n" if lines else ""
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text
    )


def print_json(value: Any) -> None:
    """Print JSON in which non-finite numbers are the strings "NaN", "Infinity", "-Infinity"."""
    typer.echo(to_json(value))


def to_json(value: Any, *, indent: int | None = 2) -> str:
    """The text that `print_json` prints; without `indent` on one line."""
    return json.dumps(_jsonable(value), indent=indent, default=str)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; text from outside is shown without markup and control characters.

    Long text is folded in a terminal, the id of a run never; nothing is where no terminal is.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [[printable(word(value)) for value in row] for row in rows]
    table = Table(box=None, header_style="bold", pad_edge=False)
    least = most = 0
    for at, column in enumerate(columns):
        cells = [column, *(row[at] for row in shown)]
        full = max(map(cell_len, cells))
        ids = [len(found) for cell in cells for found in _ID.findall(cell)]
        narrow = max([min(full, max(_NARROW, len(column))), *ids])
        table.add_column(Text(column), overflow="fold", min_width=narrow)
        least, most = least + narrow + 2, most + full + 2
    for row in shown:
        table.add_row(*map(Text, row))
    width = max(least, shutil.get_terminal_size().columns) if sys.stdout.isatty() else most
    Console(width=width, legacy_windows=False).print(table, crop=False, soft_wrap=False)


def _jsonable(value: Any) -> Any:
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Mapping):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value
