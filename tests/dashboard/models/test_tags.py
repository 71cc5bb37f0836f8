from __future__ import annotations

from htga_dashboard.models.tags import tags_of


def test_tags_are_split_at_commas_and_appear_once() -> None:
    assert tags_of(" a,, b c ,a") == ("a", "b c")
