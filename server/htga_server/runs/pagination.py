"""Orders of runs, and cursors into them."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

import sqlalchemy as sa

from htga_server.problems import BadRequest
from htga_server.storage.tables import runs

Sort = Literal[
    "created", "-created", "updated", "-updated", "name", "-name", "last_step", "-last_step"
]
"""What a list of runs can be ordered by."""


class Order:
    """An order of runs, and cursors into it.

    The place of a run is what it is ordered by and its key, so a page begins where the last one
    ended even if runs came or went.
    """

    def __init__(self, sort: Sort) -> None:
        self._down = sort.startswith("-")
        self._name = sort.removeprefix("-")
        column = runs.c[self._name]
        # Nothing is below everything in either database, once it is said so.
        self._nothing: Any = "" if self._name == "name" else -1
        self._value = sa.func.coalesce(column, self._nothing)
        key = runs.c.run_key
        self.by = [part.desc() if self._down else part.asc() for part in (self._value, key)]

    def cursor(self, row: sa.Row[Any]) -> str:
        """The place of a run."""
        value = getattr(row, self._name)
        place = [self._nothing if value is None else value, row.run_key]
        return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()

    def after(self, cursor: str) -> sa.ColumnElement[bool]:
        """The condition for what comes after a place.

        Raises:
            BadRequest: It is no place in this order.
        """
        try:
            value, key = json.loads(base64.b64decode(cursor, b"-_", validate=True))
            kinds = (str,) if self._name == "name" else (int, float)
            if type(value) not in kinds or type(key) is not int:
                raise TypeError  # noqa: TRY301
            numbers = [key] if isinstance(value, str) else [key, value]
            # Half a character cannot be encoded, and a database's integers and texts end somewhere.
            if b"\0" in str(value).encode() or not all(abs(one) < 2**62 for one in numbers):
                raise ValueError  # noqa: TRY301
        except (ValueError, TypeError, RecursionError):
            raise BadRequest(f"cursor {cursor[:40]!r} is none of ours") from None
        place = sa.tuple_(self._value, runs.c.run_key)
        there = sa.tuple_(sa.literal(value), sa.literal(key))
        return place < there if self._down else place > there
