from __future__ import annotations

import pytest
import torch

from tests.support.triton_script import needs_triton


@needs_triton
def test_tables_of_many_layers_are_still_there_at_the_next_step() -> None:
    segments = pytest.importorskip("htga.tail.histogram.triton_segments")
    layers = [torch.ones(10) for _ in range(300)]
    segments._segments.cache_clear()
    for _ in range(2):
        for layer in layers:
            segments.segments_of([layer])
    assert segments._segments.cache_info().hits == len(layers)
