import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from htga.tail.flat_tensors import CHUNK
from htga.tail.histogram.counting import count, count_plain, uses_triton
from htga.tail.triton.available import forget
from tests.htga.distributions import student_t
from tests.support.seeded_random import LONG
from tests.support.triton_script import lines_of, needs_triton

CPU = torch.device("cpu")
HERE = Path(__file__).parent
any_float = st.one_of(
    hnp.arrays(np.float32, st.integers(0, 60), elements=st.floats(width=32)),
    hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats()),
    hnp.arrays(np.float16, st.integers(0, 60), elements=st.floats(width=16)),
)


@given(any_float, st.integers(0, 8))
def test_chunks_and_plain_operations_count_the_same(x: np.ndarray, bits: int) -> None:
    sample = torch.from_numpy(x)
    assert torch.equal(count([sample], bits, sample.device), count_plain(sample, bits))


def test_large_and_small_tensors_count_like_one() -> None:
    x = student_t(1.5, 3 * CHUNK + 5).float()
    parts = [*x[:300].split(7), x[300 : 300 + 2 * CHUNK], x[300 + 2 * CHUNK :]]
    assert torch.equal(count(parts, 3, x.device), count_plain(x, 3))
    assert torch.equal(count([x.bfloat16()], 3, x.device), count_plain(x.bfloat16(), 3))


@pytest.mark.slow
@needs_triton
def test_the_triton_kernel_counts_the_same_under_its_interpreter(tmp_path: Path) -> None:
    printed = lines_of(HERE / "count_with_triton.py", tmp_path, TRITON_INTERPRET="1")
    assert printed == ["all counts agree"]


@pytest.mark.slow
@needs_triton
def test_the_triton_kernels_compile_for_devices_that_are_not_here(tmp_path: Path) -> None:
    dtypes = {80: ("float32",), 90: ("float32", "float16", "bfloat16")}
    kernels = ("count", "scan", "first digit", "second digit", "collect")
    once = ("floor", "verdict", "sum", "excess", "estimate")
    assert lines_of(HERE / "compile_with_triton.py", tmp_path) == [
        line
        for capability in ((80, 90) if LONG else (90,))
        for line in (
            *(
                f"{kernel} of {dtype} on {capability}"
                for dtype in dtypes[capability]
                for kernel in kernels
            ),
            *(f"{kernel}_kernel on {capability}" for kernel in once),
        )
    ]


def test_without_an_interpreter_no_kernel_counts_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not uses_triton(CPU)


@needs_triton
def test_where_triton_fails_counts_are_made_without_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    x = student_t(1.5, 5000).float()
    expected = count([x], 3, CPU)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setitem(sys.modules, "htga.tail.histogram.triton_counting", None)
    forget()
    for _ in range(2):
        assert torch.equal(count([x], 3, CPU), expected)
    (record,) = caplog.records
    assert "Triton cannot count on cpu; done without it" in record.message
    forget()
