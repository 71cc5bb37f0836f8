"""What a server process logs: on stderr, as lines for people or as JSON for programs."""

from __future__ import annotations

import datetime as dt
import json
import logging
from typing import Annotated, Literal

import typer

from htga.cli.output import printable

Level = Annotated[
    Literal["debug", "info", "warning", "error"],
    typer.Option(
        "--log-level",
        envvar="HTGA_LOG_LEVEL",
        case_sensitive=False,
        help="What to log on stderr; info has a line for each request.",
    ),
]
Format = Annotated[
    Literal["text", "json"],
    typer.Option(
        "--log-format",
        envvar="HTGA_LOG_FORMAT",
        case_sensitive=False,
        help="Lines for people, or an object of JSON on each line.",
    ),
]


def configure(level: str, kind: str) -> None:
    """Send what all packages log from `level` on to stderr, in the format `kind`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if kind == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # A line for each request that we send, or each second, says nothing to an operator.
    for chatty in ("alembic.runtime.plugins", "asyncio", "httpcore2", "httpx2"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


class TextLines(logging.Formatter):
    """Time, level, logger and message in one line; what would break it is escaped."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line of a record, without its traceback."""
        return printable(super().formatMessage(record))


class JsonLines(logging.Formatter):
    """One object for each record; a request's own members stand beside time, level and logger."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        when = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "level": record.levelname.lower(), "logger": record.name}
        line |= getattr(record, "request", None) or {"message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
