"""Keyset pagination of runs."""

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
"""The orders of a list of runs; a minus puts the greatest first."""


class RunSort:
    """An order of runs, and cursors into it.

    A cursor holds the value that a run is ordered by and the run's key, so the next page begins
    where the last one ended even if runs were added or removed in between.
    """

    def __init__(self, sort: Sort) -> None:
        self._descending = sort.startswith("-")
        self._name = sort.removeprefix("-")
        column = runs.c[self._name]
        # COALESCE makes NULLs sort lowest on both databases.
        self._null: Any = "" if self._name == "name" else -1
        self._value = sa.func.coalesce(column, self._null)
        key = runs.c.run_key
        self.columns = [
            part.desc() if self._descending else part.asc() for part in (self._value, key)
        ]

    def cursor(self, row: sa.Row[Any]) -> str:
        """Return the cursor of a run."""
        value = getattr(row, self._name)
        place = [self._null if value is None else value, row.run_key]
        return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()

    def after(self, cursor: str) -> sa.ColumnElement[bool]:
        """Return the condition for runs after a cursor.

        Raises:
            BadRequest: It is no cursor of this order.
        """
        try:
            value, key = json.loads(base64.b64decode(cursor, b"-_", validate=True))
            types = (str,) if self._name == "name" else (int, float)
            if type(value) not in types or type(key) is not int:
                raise TypeError  # noqa: TRY301
            numbers = [key] if isinstance(value, str) else [key, value]
            # Databases take neither half a surrogate pair, nor a NUL, nor integers beyond 64 bits.
            if b"\0" in str(value).encode() or not all(abs(one) < 2**62 for one in numbers):
                raise ValueError  # noqa: TRY301
        except (ValueError, TypeError, RecursionError):
            raise BadRequest(f"cursor {cursor[:40]!r} is none of ours") from None
        place = sa.tuple_(self._value, runs.c.run_key)
        cursor_place = sa.tuple_(sa.literal(value), sa.literal(key))
        return place < cursor_place if self._descending else place > cursor_place
