import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from htga.tail import LogHistogram, hill
from htga.tail.flat_tensors import CHUNK
from htga.tail.histogram.sketch import Sketch, _on_device
from htga.tail.triton.available import forget
from tests.htga.distributions import student_t
from tests.support.triton_script import lines_of, needs_triton

HERE = Path(__file__).parent

any_float = st.one_of(
    hnp.arrays(np.float32, st.integers(0, 200), elements=st.floats(width=32)),
    hnp.arrays(np.float64, st.integers(0, 200), elements=st.floats(-1e150, 1e150)),
)


def largest_of(x: Tensor, size: int) -> Tensor:
    """By sorting, zeros after the last."""
    flat = x.double().abs()
    padded = torch.cat([flat[flat.isfinite()], torch.zeros(size, dtype=torch.float64)])
    return padded.sort(descending=True).values[:size]


@given(any_float, st.integers(1, 60))
def test_the_largest_are_those_that_sorting_gives(x: np.ndarray, size: int) -> None:
    sample = torch.from_numpy(x)
    for sketch in (Sketch.of([sample], size), _on_device([sample], size, 3, None)):
        assert torch.equal(sketch.largest, largest_of(sample, size))
        assert sketch.histogram == LogHistogram().update(sample)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_chunks_on_a_cpu_and_plain_operations_see_the_same(dtype: torch.dtype) -> None:
    x = student_t(1.5, CHUNK + 3000).to(dtype)
    parts = [x[:7], x[7:900], x[900:]]
    scales = torch.tensor([2.0, 0.3, 1.0])
    for their in (None, scales):
        one, other = Sketch.of(parts, 500, scales=their), _on_device(parts, 500, 3, their)
        assert one.histogram == other.histogram
        assert torch.equal(one.largest, other.largest)
        assert float(one.squares) == pytest.approx(float(other.squares), rel=1e-6)


def test_sketches_of_parts_merge_into_that_of_the_whole() -> None:
    x = student_t(1.5, 20_000).float()
    x[::9] = 0
    whole = Sketch.of([x], 300)
    merged = Sketch.of([x[:150]], 300).merge(Sketch.of([x[150:]], 300))
    assert merged.histogram == whole.histogram
    assert torch.equal(merged.largest, whole.largest)
    # Squares are summed in float32 within rows, which here begin elsewhere.
    assert float(merged.squares) == pytest.approx(float(whole.squares), rel=1e-6)
    assert torch.equal(
        merged.order_statistics(200).threshold, whole.order_statistics(200).threshold
    )
    assert float(1 / merged.order_statistics(200).m1) == pytest.approx(
        float(hill(x, 200).alpha), rel=1e-12
    )


def test_entries_that_are_all_alike_are_no_more_than_asked_for() -> None:
    sketch = Sketch.of([torch.full((3 * CHUNK,), -2.5)], 40)
    assert torch.equal(sketch.largest, torch.full((40,), 2.5, dtype=torch.float64))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_is_counted_and_shows_in_the_squares(bad: float) -> None:
    x = student_t(1.5, 1000).float()
    x[17] = bad
    sketch = Sketch.of([x], 20)
    assert int(sketch.histogram.n_nonfinite) == 1
    assert not sketch.squares.isfinite()
    assert sketch.largest.isfinite().all()


@pytest.mark.slow
@needs_triton
def test_the_triton_kernels_see_the_same_under_their_interpreter(tmp_path: Path) -> None:
    printed = lines_of(HERE / "sketch_with_triton.py", tmp_path, TRITON_INTERPRET="1")
    assert printed == ["all sketches agree"]


@needs_triton
def test_where_the_kernels_cannot_be_built_sketches_are_made_without_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    x = student_t(1.5, 5000).float()
    expected = _on_device([x], 30, 3, None)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr("htga.tail.histogram.sketch.uses_triton", lambda _: True)
    monkeypatch.setitem(sys.modules, "htga.tail.histogram.triton_sketch", None)
    forget()
    for _ in range(2):
        found = _on_device([x], 30, 3, None)
        assert torch.equal(found.largest, expected.largest)
    said = [record.message for record in caplog.records]
    assert said.count("Triton cannot sketch on cpu; done without it") == 1
    forget()
