from __future__ import annotations

from htga_dashboard.models.tags import tags_of


def test_tags_are_told_apart_by_commas_and_said_once() -> None:
    assert tags_of(" a,, b c ,a") == ("a", "b c")
