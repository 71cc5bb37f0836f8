"""The range of steps that a page shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs

PATTERN = re.compile(r"(\d{1,18})-(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps from `first` to `last`, both included, or all steps if both are None.

    Attributes:
        first: At least 0.
        last: At least `first`.
    """

    first: int | None = None
    last: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse "100-499"; any other text means all steps."""
        if (match := PATTERN.fullmatch(text)) is not None:
            first, last = map(int, match.groups())
            if first <= last:
                return cls(first, last)
        return cls()

    @classmethod
    def from_query(cls, query: str) -> Self:
        """Parse the parameter `steps=100-499` of a query."""
        return cls.parse(parse_qs(query.lstrip("?")).get("steps", [""])[0])

    def __str__(self) -> str:
        return "" if self.first is None else f"{self.first}-{self.last}"

    @property
    def stop(self) -> int | None:
        """The step after the last."""
        return None if self.last is None else self.last + 1

    def axis(self) -> dict[str, Any]:
        """Settings of an axis of steps in a plotly layout."""
        if self.first is None:
            return {"autorange": True}
        return {"autorange": False, "range": [self.first, self.last]}
