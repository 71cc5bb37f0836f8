"""The stretch of steps that a page shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs

PATTERN = re.compile(r"(\d{1,18})-(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Steps:
    """From `first` to `last`, both of them shown; or all there are, where both are None.

    Attributes:
        first: At least 0.
        last: At least `first`.
    """

    first: int | None = None
    last: int | None = None

    @classmethod
    def between(cls, first: Any, last: Any) -> Self:
        """The stretch between two numbers as a browser sends them; all steps if they make none."""
        if isinstance(first, int | float) and isinstance(last, int | float) and first <= last:
            return cls(max(round(first), 0), max(round(last), 0))
        return cls()

    @classmethod
    def from_query(cls, query: str) -> Self:
        """What an address says after its "?", as in `steps=100-499`."""
        said = PATTERN.fullmatch(parse_qs(query.lstrip("?")).get("steps", [""])[0])
        return cls.between(*map(int, said.groups())) if said else cls()

    @property
    def stop(self) -> int | None:
        """The step after the last."""
        return None if self.last is None else self.last + 1

    def to_json(self) -> dict[str, int] | None:
        """The stretch as a browser keeps it; None is all steps."""
        if self.first is None or self.last is None:
            return None
        return {"first": self.first, "last": self.last}

    def axis(self) -> dict[str, Any]:
        """What an axis of steps must be told."""
        if self.first is None or self.last is None:
            return {"autorange": True}
        return {"autorange": False, "range": [self.first, self.last]}
