"""Whether a picture that is costly to draw still holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PART = 20
"""A picture is drawn anew when its run has grown by one part in so many."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a picture shows.

    Attributes:
        what: All that it depends on but the run's growth, as JSON keeps it.
        step: The last step.
    """

    what: list[Any]
    step: int

    @property
    def data(self) -> dict[str, Any]:
        """As a browser keeps it."""
        return {"what": self.what, "step": self.step}

    def holds(self, before: dict[str, Any] | None) -> bool:
        """Whether the picture that was drawn `before` is good enough for this."""
        if before is None or before["what"] != self.what:
            return False
        grown = self.step - before["step"]
        return bool(grown == 0 or 0 < grown < self.step // PART)
