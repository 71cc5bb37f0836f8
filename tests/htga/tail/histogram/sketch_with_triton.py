"""Sketch with the Triton kernels under their interpreter, and say where that differs from PyTorch.

A process of its own, because Triton reads TRITON_INTERPRET when it is imported.
"""

from __future__ import annotations

import itertools
import sys

import torch
from torch import Tensor

from htga.tail.histogram import triton_sketch
from htga.tail.histogram.counting import count_plain, uses_triton
from htga.tail.histogram.sketch import _on_device, counts_and_squares
from tests.htga.distributions import student_t
from tests.support.seeded_random import LONG

CPU = torch.device("cpu")


def main() -> int:
    """Exit status 1 if anything differs."""
    assert uses_triton(CPU)
    triton_sketch.SAMPLE = 2**9  # So that the floor is guessed, as it is for a large model.
    x = (student_t(1.5, 9000) * 1e-3).float()
    x[::97] = 0.0
    bad = x.clone()
    bad[3], bad[5], bad[7] = torch.nan, torch.inf, -torch.inf
    guessed = {
        "one tensor": [x],
        "many tensors": [x[:1], x[1:5000], x[5000:5003], torch.empty(0), x[5003:]],
        "unaligned": [x[3:]],
        "not finite": [bad],
        "half precision": [(x * 1e2).half(), x.bfloat16(), x],
        "nothing but zeros": [torch.zeros(5000)],
        "nothing": [torch.empty(0)],
    }
    missed = {
        "all alike": [torch.full((5000,), -3.3)],
        "clipped": [x.clamp(-1e-3, 1e-3)],
        "within a bin": [1 + torch.rand(6000, generator=torch.Generator().manual_seed(0)) * 1e-4],
        "a few large ones in one place": [torch.zeros(4001), x[1:20], torch.zeros(2000)],
    }
    wrong = [
        f"{name}, the {size} largest at {bits} bits{' scaled' if scaled else ''}"
        for number, (name, sample) in enumerate((guessed | missed).items())
        for size, bits, scaled in itertools.product((1, 60, 700), (3, 0), (False, True))
        # Half of the combinations for a sample, and the other half for the next.
        if LONG or (scaled is (bits == 0)) is (number % 2 == 0)
        if not same(sample, size, bits, scaled=scaled)
    ]
    wrong += [f"{name}: squares" for name, sample in guessed.items() if not same_squares(sample)]
    print("\n".join(wrong) or "all sketches agree")
    return 1 if wrong else 0


def same(sample: list[Tensor], size: int, bits: int, *, scaled: bool) -> bool:
    """Whether the kernels see what sorting and plain operations do."""
    scales = 1.3 + torch.arange(len(sample)) / 7 if scaled else None
    found = _on_device(sample, size, bits, scales)
    seen = [part.float() * (1 if scales is None else scales[i]) for i, part in enumerate(sample)]
    x = torch.cat(seen)
    finite = torch.cat([x.abs().nan_to_num(nan=0.0, posinf=0.0), torch.zeros(size)])
    squares = x.double().square().sum()
    return (
        torch.equal(found.histogram.state, count_plain(x, bits))
        and torch.equal(found.largest, finite.sort(descending=True).values[:size].double())
        and torch.allclose(found.squares, squares, rtol=1e-12, equal_nan=True)
    )


def same_squares(sample: list[Tensor]) -> bool:
    """Whether the squares of each tensor, and the counts of all, are those of plain operations."""
    histogram, squares = counts_and_squares(sample)
    expected = torch.stack([part.double().square().sum() for part in sample])
    counted = sum((count_plain(part, 3) for part in sample), torch.zeros_like(histogram.state))
    return bool(
        torch.equal(histogram.state, counted)
        and torch.allclose(squares, expected, rtol=1e-12, equal_nan=True)
    )


if __name__ == "__main__":
    sys.exit(main())
