"""Reweight with the Triton kernel under its interpreter, and say where that differs from PyTorch.

A process of its own, because Triton reads TRITON_INTERPRET when it is imported.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from htga.optim.weights import triton_reweight
from htga.optim.weights.rank_weights import RankWeights
from htga.optim.weights.reweight import multiply, reweight, reweight_plain
from htga.optim.weights.samples import reciprocal_rms
from htga.tail.histogram.counting import uses_triton
from htga.tail.histogram.sketch import Sketch
from tests.htga.distributions import student_t

CPU = torch.device("cpu")


def main() -> int:
    """Exit status 1 if anything differs."""
    assert uses_triton(CPU)
    np.seterr(all="ignore")  # The interpreter computes what a mask then hides.
    x = (student_t(1.5, 6000) * 1e-3).float()
    x[::97] = 0.0
    odd = torch.tensor([1e-45, -1e-39, 3e35, 0.0, -0.0, 1.0, -1.0, 1.0])
    samples = {
        "one tensor": [x.clone()],
        "many tensors": [x[:1], x[1:5000], x[5000:5003], torch.empty(0), x[5003:]],
        "unaligned": [x[3:]],
        "nothing but zeros": [torch.zeros(3000)],
        "all alike": [torch.full((3000,), -3.3)],
        "every kind of number": [odd, x],
        "half precision": [(x * 1e2).half(), x.bfloat16(), x],
    }
    wrong = [
        f"{name}, beta {beta}{' scaled' if scaled else ''}"
        for name, sample in samples.items()
        for beta in (0.0, 0.4, -0.05)
        for scaled in (False, True)
        if not same(sample, beta, scaled=scaled)
    ]
    print("\n".join(wrong + multiplied() + normalised()) or "all weights agree")
    return 1 if wrong else 0


def same(sample: list[Tensor], beta: float, *, scaled: bool) -> bool:
    """Whether the kernel and plain operations write the same and find the same sums."""
    scales = 1 + torch.arange(len(sample)) / 7 if scaled else None
    sketch = Sketch.of(sample, 1025, scales=scales)
    exponent = torch.tensor(beta, dtype=torch.float64)
    d = sum(part.numel() for part in sample)
    weights = RankWeights.of(sketch, d=d, beta=exponent, w_max=1e9, share=0.5)
    one, two, three = ([part.clone() for part in sample] for _ in range(3))
    by_kernel = triton_reweight.reweight_by_triton(one, weights, scales)
    by_plain = reweight_plain(two, weights, scales)
    by_cpu = reweight(three, weights, scales)
    return (
        close(one, two)
        and close(three, two)
        # The interpreter does not round to bfloat16 but cuts.
        and torch.allclose(by_kernel, by_plain, rtol=1e-5)
        and torch.allclose(by_cpu, by_plain, rtol=1e-6)
    )


def close(one: list[Tensor], other: list[Tensor]) -> bool:
    """Equal to the rounding of each type, subnormal numbers to their last bit."""
    for a, b in zip(one, other, strict=True):
        limits = torch.finfo(a.dtype)
        last_bit = limits.smallest_normal * limits.eps
        if not torch.allclose(a.double(), b.double(), rtol=4 * limits.eps, atol=last_bit):
            return False
    return True


def normalised() -> list[str]:
    """What `reciprocal_rms` gets wrong."""
    squares = torch.tensor([0.0, 1e-90, 2.0, 1e90, torch.inf, torch.nan] * 300).double()
    sizes = torch.arange(1, 1801).double()
    found = triton_reweight.reciprocal_rms(sizes, squares)
    return [] if torch.equal(found, reciprocal_rms(sizes, squares)) else ["reciprocals"]


def multiplied() -> list[str]:
    """What `multiply` gets wrong."""
    wrong = []
    for factor in (1.0, 1.5):
        for unless in (False, True):
            for dtype in (torch.float32, torch.bfloat16, torch.float64):
                x = torch.tensor([1.0, -2.0, torch.nan, torch.inf] * 300, dtype=dtype)
                expected = torch.zeros_like(x) if unless else x * factor
                if dtype == torch.float64:
                    multiply([x], torch.tensor(factor).double(), unless=torch.tensor(unless))
                else:
                    triton_reweight.multiply_by_triton(
                        [x], torch.tensor(factor).double(), torch.tensor(unless)
                    )
                if not torch.equal(x.nan_to_num(-7), expected.nan_to_num(-7)):
                    wrong.append(f"times {factor}, {unless}, {dtype}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
