from __future__ import annotations

from htga_client.wire import RunPatch
from htga_dashboard.pages.run.edit import patch

BEFORE = ["maple", "g", "a, b", ""]


def test_only_what_was_changed_is_sent() -> None:
    assert patch(BEFORE, ["maple", "g", "a, b", "look"]) == RunPatch(notes="look")
    assert patch(BEFORE, ["maple", None, "b", ""]) == RunPatch(group="", tags=("b",))
    assert patch(BEFORE, ["maple", "g", "a, b", None]) is None
