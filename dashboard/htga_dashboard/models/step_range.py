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
    def parse(cls, text: str) -> Self:
        """What `str` wrote, as in "100-499"; anything that is no stretch is all steps."""
        if (said := PATTERN.fullmatch(text)) is not None:
            first, last = map(int, said.groups())
            if first <= last:
                return cls(first, last)
        return cls()

    @classmethod
    def from_query(cls, query: str) -> Self:
        """What an address says after its "?", as in `steps=100-499`."""
        return cls.parse(parse_qs(query.lstrip("?")).get("steps", [""])[0])

    def __str__(self) -> str:
        return "" if self.first is None else f"{self.first}-{self.last}"

    @property
    def stop(self) -> int | None:
        """The step after the last."""
        return None if self.last is None else self.last + 1

    def axis(self) -> dict[str, Any]:
        """What an axis of steps must be told."""
        if self.first is None:
            return {"autorange": True}
        return {"autorange": False, "range": [self.first, self.last]}
