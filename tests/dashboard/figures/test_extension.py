from __future__ import annotations

from htga_dashboard.figures.extension import extension


def test_an_extension_names_each_trace_and_its_values_by_attribute() -> None:
    extended = extension([{"x": [1, 2], "y": [3.0, None]}, {"x": [], "y": []}])
    assert extended == ({"x": [[1, 2], []], "y": [[3.0, None], []]}, [0, 1])
