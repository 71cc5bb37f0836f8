"""Values of any kind, and objects that raise whatever is asked of them."""

from __future__ import annotations

from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(categories=None), max_size=30) | st.sampled_from(
    ["\0", "\ud800", "x" * 3000, "y" * 1_100_000]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(max_size=3)
    | st.sampled_from([object, 1j]) | st.just(5000).map(lambda digits: 10**digits),
    lambda inner: st.lists(inner, max_size=4) | st.sets(st.integers(), max_size=3)
    | st.dictionaries(ANY_TEXT | st.integers(), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
PARTS = ("project", "name", "group", "tags", "notes", "config", "environment")
"""The parts of a registration that may be cleaned."""


class Hostile:
    """An object that raises whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __float__ = __iter__ = __index__ = __repr__
