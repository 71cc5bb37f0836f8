from __future__ import annotations

import json

import pytest

from htga_dashboard.freshness import PART, Shown


def test_a_picture_holds_until_its_run_has_grown_enough() -> None:
    before = json.loads(json.dumps(Shown(["dark", ["a"]], 1000).data))
    assert Shown(["dark", ["a"]], 1000).holds(before)
    assert Shown(["dark", ["a"]], 1001).holds(before)
    assert not Shown(["dark", ["a"]], 1000 + 2 * 1000 // PART).holds(before)


@pytest.mark.parametrize(
    ("now", "before"),
    [(Shown(["light"], 9), Shown(["dark"], 9).data), (Shown([], 9), None)],
    ids=["another is wanted", "there is none"],
)
def test_another_picture_is_drawn_at_once(now: Shown, before: dict[str, object] | None) -> None:
    assert not now.holds(before)


def test_a_run_that_begins_again_is_drawn_again() -> None:
    assert not Shown([], 5).holds(Shown([], 9).data)
