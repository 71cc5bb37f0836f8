"""Count with the Triton kernel under its interpreter, and say where that differs from PyTorch.

A process of its own, because Triton reads TRITON_INTERPRET when it is imported.
"""

from __future__ import annotations

import sys

import torch

from htga.tail import LogHistogram
from htga.tail.histogram import counting
from htga.tail.histogram.counting import uses_triton
from tests.htga.distributions import student_t

CPU = torch.device("cpu")


def main() -> int:
    """Exit status 1 if a count differs."""
    assert uses_triton(CPU)
    wide = (student_t(1.5, 30_000) * 1e-3).float()
    odd = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0, 0.0, 1e-45, -1e-39, 3.4e38])
    samples = {
        "one tensor": [wide],
        "many tensors": [wide[:1], wide[1:5000], wide[5000:5003], wide[5003:], torch.empty(0)],
        "unaligned": [wide[3:]],
        "nothing but zeros": [torch.zeros(5000)],
        "nothing": [],
        "every kind of number": [odd, wide, odd.repeat(700)],
        "half precision": [(wide * 1e3).half(), (wide * 1e-30).bfloat16(), odd.half(), wide],
        "eight bits": [wide.clamp(-1, 1).to(torch.float8_e4m3fn)],
        "double precision": [wide.double() * 1e-300, wide],
        "scales that one window cannot hold": [wide * 2.0**e for e in (-110, -60, 0, 70)],
    }
    wrong = [
        f"{name} at {bits} bits"
        for name, sample in samples.items()
        for bits in (0, 3, 8)
        if not same(sample, bits)
    ]
    print("\n".join(wrong) or "all counts agree")
    return 1 if wrong else 0


def same(sample: list[torch.Tensor], bits: int) -> bool:
    """Whether the kernel, chunks and plain operations give the same state."""
    by_kernel = LogHistogram(bits).update(sample).state
    by_chunks = torch.zeros_like(by_kernel)
    for part in sample:
        counting.count_on_cpu(part, bits, by_chunks)
    plain = [counting.count_plain(part, bits) for part in sample]
    by_plain = torch.stack([torch.zeros_like(by_kernel), *plain]).sum(0)
    return torch.equal(by_kernel, by_chunks) and torch.equal(by_kernel, by_plain)


if __name__ == "__main__":
    sys.exit(main())
